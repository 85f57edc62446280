// The matmuls of linear.cuh on tensor cores, for bf16 and rows of whole vectors of 8: c (M,N) = a . b over k, in fp32.
//
// A block owns a tile of c, a warp 64 x 64 of it in registers. Along k the block walks 32 at a time through a ring of
// tiles in shared memory that cp.async fills ahead. Either matrix may lie along k or across it: ldmatrix transposes
// on the way. At the end a warp's sums pass through shared memory, so that what follows (linear_epilogue.cuh) works
// on whole vectors. Where c has too few tiles for the GPU, blocks share a tile by splitting k; their sums are added
// in order of k.
#pragma once
#include <map>
#include <tuple>
#include "linear_epilogue.cuh"
#include "linear_operand.cuh"
#include "linear_place.cuh"
#include "linear_time.cuh"

template <int warps_m, int warps_n>
struct LinearTensor {
    static constexpr int k = 32, stages = 4, I = 4, J = 8;  // I rows of 16 and J columns of 8 are a warp's
    static constexpr int warps = warps_m * warps_n, threads = warps * warp_size, across = warps_n;
    static constexpr int m = 16 * I * warps_m, n = 8 * J * warps_n, blocks = 8 / warps;
    static constexpr int stage = (m + n) * k;  // elements
    static constexpr size_t bytes = stages * stage * sizeof(bf16);
    // A warp's sums in shared memory: the low halves of a row's vectors of 8, then the high ones. Rows begin 8 banks
    // apart, the halves 4, so that neither those who write two neighbours nor those who read vectors share a bank.
    static constexpr int high = 4 * J + 4, pitch = high + 4 * J + 4;
    static_assert(pitch % 32 == 8 && high % 32 == 4 && warps * 16 * pitch * sizeof(float) <= bytes);
    static_assert(blocks_by_shared(80, bytes) >= 1 && blocks_by_shared(90, bytes) >= blocks && bytes <= 99 << 10);
};

// A tile of `outers` rows of a (columns of b) x k, in either layout: how it is filled, and read as 16 x 16 pieces.
template <class Operand, int outers, int k>
struct LinearTile {
    static constexpr bool along_k = Operand::along == Along::k;
    using Tile = TensorTile<along_k ? k : outers>;
    static_assert(Tile::conflict_free() && Tile::one_to_one());

    template <int threads>
    static __device__ void copy(bf16* tile, const Operand& x, int first, int k0, int k_end) {
        if constexpr (along_k)
            tensor_copy<Tile, outers, threads>(tile, x.data + size_t(x.order.of(first)) * x.ld + k0, x.ld,
                                               x.outers - first, k_end - k0, x.order);
        else
            tensor_copy<Tile, k, threads>(tile, x.data + size_t(k0) * x.ld + first, x.ld, k_end - k0, x.outers - first);
    }
    // Fragments of rows first .. first + 15 of a, at k0.
    using LaneA = TensorLane<Tile, along_k ? Pieces::down : Pieces::across>;
    static __device__ void load_a(uint32_t (&a)[4], const LaneA& lane, const bf16* tile, int first, int k0) {
        if constexpr (along_k) ldmatrix(a, lane.at(tile, first, k0));
        else ldmatrix_transposed(a, lane.at(tile, k0, first));
    }
    // Of columns first .. first + 15 of b: those of the first 8, then of the others.
    using LaneB = TensorLane<Tile, along_k ? Pieces::across : Pieces::down>;
    static __device__ void load_b(uint32_t (&b)[4], const LaneB& lane, const bf16* tile, int first, int k0) {
        if constexpr (along_k) ldmatrix(b, lane.at(tile, first, k0));
        else ldmatrix_transposed(b, lane.at(tile, k0, first));
    }
};

// Where a block's tile of c begins, and in it the part of this thread's warp.
template <class Shape>
struct LinearCorner {
    int m0, n0, m_warp, n_warp;
    __device__ LinearCorner(int M, int N) {
        const LinearPlace place = linear_place(blockIdx.x, ceil_div(M, Shape::m), ceil_div(N, Shape::n));
        const int warp = threadIdx.x / warp_size;
        m0 = place.m * Shape::m, n0 = place.n * Shape::n;
        m_warp = warp / Shape::across * 16 * Shape::I, n_warp = warp % Shape::across * 8 * Shape::J;
    }
};

// The ring of tiles along k: copied a step ahead of their use into its slots, and read as a warp's fragments.
template <class Shape, class A, class B>
class LinearRing {
    static constexpr int b_tile = Shape::m * Shape::k;  // behind a's
    using TileA = LinearTile<A, Shape::m, Shape::k>;
    using TileB = LinearTile<B, Shape::n, Shape::k>;
    const A& a;
    const B& b;
    LinearCorner<Shape> corner;
    bf16* ring;
    int k_begin, k_end;
    typename TileA::LaneA lane_a;
    typename TileB::LaneB lane_b;

public:
    int steps;
    struct Fragments {
        uint32_t a[Shape::I][4], b[Shape::J / 2][4];
    };

    __device__ LinearRing(bf16* ring, const A& a, const B& b, const LinearCorner<Shape>& corner, int K, int k_of_block)
        : a(a), b(b), corner(corner), ring(ring) {
        k_begin = blockIdx.y * k_of_block, k_end = std::min(k_begin + k_of_block, K);
        steps = ceil_div(k_end - k_begin, Shape::k);
    }
    __device__ void copy(int step, int slot) const {  // zeros where there is nothing left
        bf16* tile = ring + slot * Shape::stage;
        const int k0 = k_begin + step * Shape::k;
        TileA::template copy<Shape::threads>(tile, a, corner.m0, k0, k_end);
        TileB::template copy<Shape::threads>(tile + b_tile, b, corner.n0, k0, k_end);
        copy_async_commit();
    }
    __device__ void load(Fragments& x, int slot, int k) const {
        const bf16* tile = ring + slot * Shape::stage;
        UNROLL
        for (int i = 0; i < Shape::I; i++) TileA::load_a(x.a[i], lane_a, tile, corner.m_warp + 16 * i, k);
        UNROLL
        for (int j = 0; j < Shape::J / 2; j++) TileB::load_b(x.b[j], lane_b, tile + b_tile, corner.n_warp + 16 * j, k);
    }
};

// sum = a . b. The last 16 k of a step are multiplied while the next step's first fragments are on their way. Copies go
// where the last step's tiles were.
template <class Shape, class Ring>
__device__ void linear_multiply(float (&sum)[Shape::I][Shape::J][4], const Ring& ring) {
    constexpr int k_step = Shape::k, stages = Shape::stages;
    typename Ring::Fragments x[2];  // of these 16 k, and of the next
    for (int step = 0; step < stages - 1; step++) ring.copy(step, step);
    copy_async_wait<stages - 2>();
    __syncthreads();
    ring.load(x[0], 0, 0);
    for (int step = 0; step < ring.steps; step += stages) {
        UNROLL
        for (int slot = 0; slot < stages; slot++) {
            if (step + slot >= ring.steps) break;
            UNROLL
            for (int k = 0; k < k_step; k += 16) {
                const bool last = k + 16 == k_step;
                if (last) {
                    copy_async_wait<stages - 2>();
                    __syncthreads();  // the next tiles are here; all have read these
                }
                ring.load(x[(k / 16 + 1) % 2], last ? (slot + 1) % stages : slot, last ? 0 : k + 16);
                if (k == 0) ring.copy(step + slot + stages - 1, (slot + stages - 1) % stages);
                UNROLL
                for (int j = 0; j < Shape::J; j += 2) tensor_multiply(sum, x[k / 16 % 2].a, x[k / 16 % 2].b[j / 2], j);
            }
        }
    }
}

// A warp's sums on their way out: 16 rows at a time through its own part of shared memory, then vector by vector. What
// the epilogue reads is on its way 16 rows ahead.
template <class Shape, class Epilogue>
class LinearRows {
    static constexpr int I = Shape::I, J = Shape::J, vectors = Epilogue::vectors, per_row = J / vectors,
                         at_once = warp_size / per_row, groups = 16 / at_once;
    const Epilogue& epilogue;
    int M, N, lane, row0, vector, m, n;  // row0: of 16; m: of the warp's first row; n: of the lane's vectors
    decltype(linear_column(epilogue, 0, true)) column;
    decltype(linear_row(epilogue, 0, 0, true)) operands[2][groups];

    __device__ int row_of(int i, int u) const { return m + 16 * i + u * at_once + row0; }
    __device__ bool inside(int m) const { return m < M && n < N; }
    __device__ void load_operands(int i) {
        UNROLL
        for (int u = 0; u < groups; u++)
            operands[i % 2][u] = linear_row(epilogue, row_of(i, u), n, inside(row_of(i, u)));
    }
    __device__ void put(float* rows, const float (&sum)[J][4]) const {
        float* pair = rows + lane / 4 * Shape::pitch + lane % 4 / 2 * Shape::high + lane % 2 * 2;
        UNROLL
        for (int j = 0; j < J; j++)
            for (int half = 0; half < 2; half++)
                *reinterpret_cast<float2*>(pair + 8 * half * Shape::pitch + 4 * j) =
                    float2{sum[j][2 * half], sum[j][2 * half + 1]};
    }
    __device__ Vec<8 * vectors> take(const float* rows, int u) const {
        const float* row = rows + (u * at_once + row0) * Shape::pitch + 4 * vector;
        Vec<8 * vectors> x;
        UNROLL
        for (int v = 0; v < 2 * vectors; v++) {
            const Vec<4> part = load<4>(row + v / 2 * 4 + v % 2 * Shape::high);
            for (int k = 0; k < 4; k++) x[4 * v + k] = part[k];
        }
        return x;
    }

public:
    __device__ LinearRows(const Epilogue& epilogue, const LinearCorner<Shape>& corner, int M, int N)
        : epilogue(epilogue), M(M), N(N), lane(threadIdx.x % warp_size) {
        row0 = lane / per_row, vector = lane % per_row * vectors;
        m = corner.m0 + corner.m_warp, n = corner.n0 + corner.n_warp + 8 * vector;
        column = linear_column(epilogue, n, n < N);
        load_operands(0);
    }
    __device__ void write(float* shared, const float (&sum)[I][J][4]) {
        float* rows = shared + threadIdx.x / warp_size * 16 * Shape::pitch;
        UNROLL
        for (int i = 0; i < I; i++) {
            put(rows, sum[i]);
            if (i + 1 < I) load_operands(i + 1);
            __syncwarp();
            UNROLL
            for (int u = 0; u < groups; u++) {
                const Vec<8 * vectors> x = take(rows, u);
                if (inside(row_of(i, u))) epilogue.write(x, column, operands[i % 2][u], row_of(i, u), n);
            }
            __syncwarp();  // the rows are read before the next are written
        }
    }
};

template <class Shape, class A, class B, class Epilogue>
__global__ void __launch_bounds__(Shape::threads, Shape::blocks)
    linear_tensor_kernel(Epilogue epilogue, A a, B b, int K, int k_of_block) {
    bf16* shared = dynamic_shared<bf16>();
    const LinearCorner<Shape> corner(a.outers, b.outers);
    float sum[Shape::I][Shape::J][4] = {};
    linear_multiply<Shape>(sum, LinearRing<Shape, A, B>(shared, a, b, corner, K, k_of_block));

    LinearRows<Shape, Epilogue> rows(epilogue, corner, a.outers, b.outers);
    copy_async_wait<0>();
    __syncthreads();  // nobody reads or fills the ring any more
    rows.write(reinterpret_cast<float*>(shared), sum);
}

// c[i] += partial[0][i] + partial[1][i] + ..., or =, each of n elements.
template <int W>
__global__ void linear_partials_kernel(float* c, const float* partial, Into into, size_t n, int parts) {
    const size_t i = flat_index<W>();
    if (i >= n) return;
    Vec<W> sum = load<W>(partial + i);
    for (int p = 1; p < parts; p++) {
        const Vec<W> x = load<W>(partial + p * n + i);
        for (int w = 0; w < W; w++) sum[w] += x[w];
    }
    if (into == Into::add) {
        const Vec<W> old = load<W>(c + i);
        for (int w = 0; w < W; w++) sum[w] += old[w];
    }
    store<W>(c + i, sum);
}

// Into how many parts k is split: the fewer idle places in the last round of blocks, the better. A part of a tile is
// written and read again, which takes as long as about 400 of its k (128 x 256 floats at 4.3 TB/s, 480
// TFLOP/s).
inline int linear_parts(int tiles, int slots, int K) {
    int best = 1;
    double least = 1e30;
    for (int parts = 1; parts <= std::max(1, std::min(32, K / 400)); parts++) {
        const double time = ceil_div(tiles * parts, slots) / double(parts) + (parts > 1 ? 400.0 * parts / K : 0);
        if (time < least) least = time, best = parts;
    }
    return best;
}

// Of the tiles the wide one needs less of a and b, the square one leaves less of the GPU idle; both add in the same
// order of k, and so give the same bits.
using LinearWide = LinearTensor<2, 4>;
using LinearSquare = LinearTensor<2, 2>;
template <class Shape>
int linear_tiles(int M, int N) {
    return ceil_div(M, Shape::m) * ceil_div(N, Shape::n);
}
template <class Then>
void with_linear_tile(bool wide, Then then) {
    if (wide) then(LinearWide{});
    else then(LinearSquare{});
}

// The one with fewer rounds of blocks, for matmuls that are not measured.
inline bool linear_wide(int M, int N, int sm_count) {
    return ceil_div(linear_tiles<LinearWide>(M, N), sm_count * LinearWide::blocks) <=
           ceil_div(linear_tiles<LinearSquare>(M, N), sm_count * LinearSquare::blocks);
}

// The faster one, measured once for every `kind` of product and shape. run(shape) does the product.
struct LinearMeasured {
    std::map<std::tuple<std::type_index, int, int, int>, bool> wide;
};
template <class Run>
bool linear_faster(std::type_index kind, int M, int N, int K, Run run, const Gpu<bf16>& on) {
    auto& known = on.template kept<LinearMeasured>().wide;
    const std::tuple key(kind, M, N, K);
    if (const auto found = known.find(key); found != known.end()) return found->second;
    const auto seconds = [&](auto shape) { return seconds_of([&] { run(shape); }, on); };
    return known[key] = seconds(LinearWide{}) <= seconds(LinearSquare{});
}

template <class Shape, class A, class B, class Epilogue>
void linear_tensor_by(const Epilogue& epilogue, const A& a, const B& b, int K, const Gpu<bf16>& on) {
    launch(linear_tensor_kernel<Shape, A, B, Epilogue>, linear_tiles<Shape>(a.outers, b.outers), Shape::threads,
           Shape::bytes, on, epilogue, a, b, K, K);
}

template <class A, class B, class Epilogue>
void linear_tensor(const Epilogue& epilogue, const A& a, const B& b, int K, const Gpu<bf16>& on) {
    const int M = a.outers, N = b.outers;
    const auto run = [&](auto shape) { linear_tensor_by<decltype(shape)>(epilogue, a, b, K, on); };
    with_linear_tile(linear_worth_timing(M, N, K, on)
                         ? linear_faster(typeid(linear_tensor<A, B, Epilogue>), M, N, K, run, on)
                         : linear_wide(M, N, on.sm_count),
                     run);
}

// c += a . b, or =. Into how many parts k is split depends on the shape alone, as they determine the bits.
template <class A, class B>
void linear_tensor_sum(float* c, const A& a, const B& b, int K, const Gpu<bf16>& on) {
    const int M = a.outers, N = b.outers;
    const size_t n = size_t(M) * N;
    const bool wide = linear_wide(M, N, on.sm_count);
    int parts = 1;
    with_linear_tile(wide, [&]<class Shape>(Shape) {
        parts = linear_parts(linear_tiles<Shape>(M, N), on.sm_count * Shape::blocks, K);
    });
    const int k_of_block = round_up(ceil_div(K, parts), LinearWide::k);
    parts = ceil_div(K, k_of_block);
    float* partial = parts > 1 ? on.template scratch<float>(parts * n) : nullptr;
    const LinearSum sum{partial ? partial : c, partial ? n : 0, on.into, N};
    const auto run = [&]<class Shape>(Shape) {
        launch(linear_tensor_kernel<Shape, A, B, LinearSum>, dim3(linear_tiles<Shape>(M, N), parts), Shape::threads,
               Shape::bytes, on, sum, a, b, K, k_of_block);
    };
    const bool repeatable = partial || on.into == Into::assign;
    with_linear_tile(repeatable && linear_worth_timing(M, N, K, on)
                         ? linear_faster(typeid(linear_tensor_sum<A, B>), M, N, K, run, on)
                         : wide,
                     run);
    if (partial) launch(linear_partials_kernel<8>, flat_grid<8>(n), flat_block, 0, on, c, partial, on.into, n, parts);
}
