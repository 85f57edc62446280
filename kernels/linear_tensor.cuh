// The products of linear.cuh on tensor cores, for bf16 and rows of whole vectors of 8: c (M,N) = a . b over k, in fp32.
//
// A block owns a tile of c, a warp 64 x 64 of it in registers. Along k the block walks 32 at a time through a ring of
// tiles in shared memory that cp.async fills ahead. Either matrix may lie along k or across it: ldmatrix transposes
// on the way. At the end a warp's sums pass through shared memory, so that what follows (linear_epilogue.cuh) works
// on whole vectors. Where c has too few tiles for the GPU, blocks share a tile by splitting k; their sums are added
// in order of k.
#pragma once
#include "linear_epilogue.cuh"
#include "linear_few.cuh"
#include "linear_operand.cuh"

template <int warps_m, int warps_n>
struct LinearTensor {
    static constexpr int k = 32, stages = 4, I = 4, J = 8;  // I rows of 16 and J columns of 8 are a warp's
    static constexpr int warps = warps_m * warps_n, threads = warps * warp_size, across = warps_n;
    static constexpr int m = 16 * I * warps_m, n = 8 * J * warps_n, blocks = 8 / warps;
    static constexpr int stage = (m + n) * k;  // elements
    static constexpr size_t bytes = stages * stage * sizeof(bf16);
    static constexpr int pitch = 8 * J + 8;  // of sums in shared memory: rows begin 8 banks apart
    static_assert(warps * 16 * pitch * sizeof(float) <= bytes);
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

// Which tile a block owns. Blocks run about in the order of their numbers: those of a time share 8 rows of tiles and
// few columns, and so find most of a and b in the L2 cache.
struct LinearPlace {
    int m, n;
};
__device__ inline LinearPlace linear_place(int number, int down, int across) {
    constexpr int high = 8;
    const int first = number / (high * across) * high, rows = std::min(high, down - first),
              inside = number % (high * across);
    return {first + inside % rows, inside / rows};
}

template <class Shape, class A, class B, class Epilogue>
__global__ void __launch_bounds__(Shape::threads, Shape::blocks)
linear_tensor_kernel(Epilogue epilogue, A a, B b, int K, int k_of_block) {
    constexpr int k_step = Shape::k, stages = Shape::stages, I = Shape::I, J = Shape::J;
    using TileA = LinearTile<A, Shape::m, k_step>;
    using TileB = LinearTile<B, Shape::n, k_step>;
    bf16* ring = dynamic_shared<bf16>();
    const LinearPlace place = linear_place(blockIdx.x, ceil_div(a.outers, Shape::m), ceil_div(b.outers, Shape::n));
    const int m0 = place.m * Shape::m, n0 = place.n * Shape::n, lane = threadIdx.x % warp_size;
    const int warp = threadIdx.x / warp_size, m_warp = warp / Shape::across * 16 * I,
              n_warp = warp % Shape::across * 8 * J;
    const int k_begin = blockIdx.y * k_of_block, k_end = std::min(k_begin + k_of_block, K);
    const int steps = ceil_div(k_end - k_begin, k_step);
    const auto copy_step = [&](int step, int slot) {           // zeros where there is nothing left
        bf16* tile = ring + slot * Shape::stage;
        TileA::template copy<Shape::threads>(tile, a, m0, k_begin + step * k_step, k_end);
        TileB::template copy<Shape::threads>(tile + Shape::m * k_step, b, n0, k_begin + step * k_step, k_end);
        copy_async_commit();
    };
    uint32_t x[2][I][4], y[2][J / 2][4];                       // fragments of these 16 k, and of the next
    const typename TileA::LaneA lane_a;
    const typename TileB::LaneB lane_b;
    const auto load_fragments = [&](int which, int slot, int k) {
        const bf16 *a_tile = ring + slot * Shape::stage, *b_tile = a_tile + Shape::m * k_step;
        #pragma unroll
        for (int i = 0; i < I; i++) TileA::load_a(x[which][i], lane_a, a_tile, m_warp + 16 * i, k);
        #pragma unroll
        for (int j = 0; j < J / 2; j++) TileB::load_b(y[which][j], lane_b, b_tile, n_warp + 16 * j, k);
    };

    // The last 16 k of a step are multiplied while the next step's first fragments are on their way. Copies go where
    // the last step's tiles were.
    for (int step = 0; step < stages - 1; step++) copy_step(step, step);
    copy_async_wait<stages - 2>();
    __syncthreads();
    load_fragments(0, 0, 0);
    float sum[I][J][4] = {};
    for (int step = 0; step < steps; step += stages)
        #pragma unroll
        for (int slot = 0; slot < stages; slot++) {
            if (step + slot >= steps) break;
            #pragma unroll
            for (int k = 0; k < k_step; k += 16) {
                const bool last = k + 16 == k_step;
                if (last) {
                    copy_async_wait<stages - 2>();
                    __syncthreads();                           // the next tiles are here; all have read these
                }
                load_fragments((k / 16 + 1) % 2, last ? (slot + 1) % stages : slot, last ? 0 : k + 16);
                if (k == 0) copy_step(step + slot + stages - 1, (slot + stages - 1) % stages);
                #pragma unroll
                for (int j = 0; j < J; j += 2) tensor_multiply(sum, x[k / 16 % 2], y[k / 16 % 2][j / 2], j);
            }
        }

    // 16 rows at a time through the warp's own part of shared memory, then vector by vector.
    copy_async_wait<0>();
    __syncthreads();  // nobody reads or fills the ring any more
    float* rows = reinterpret_cast<float*>(ring) + warp * 16 * Shape::pitch;
    constexpr int width = 8 * Epilogue::vectors, per_row = 8 * J / width;
    #pragma unroll
    for (int i = 0; i < I; i++) {
        #pragma unroll
        for (int j = 0; j < J; j++)
            for (int half = 0; half < 2; half++)
                *reinterpret_cast<float2*>(rows + (lane / 4 + 8 * half) * Shape::pitch + 8 * j + lane % 4 * 2) =
                    float2{sum[i][j][2 * half], sum[i][j][2 * half + 1]};
        __syncwarp();
        #pragma unroll
        for (int u = 0; u < 16 * per_row; u += warp_size) {
            const int row = (u + lane) / per_row, column = (u + lane) % per_row * width;
            const int m = m0 + m_warp + 16 * i + row, n = n0 + n_warp + column;
            if (m < a.outers && n < b.outers) epilogue.finish(load<width>(rows + row * Shape::pitch + column), m, n);
        }
        __syncwarp();  // the rows are read before the next are written
    }
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
// written and read again, which takes about as long as 400 steps of its k (128 x 256 floats at 4.3 TB/s, 480
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

// Calls `then` with the tile that keeps the GPU busiest. Wide ones need less of a and b.
template <class Then>
void by_linear_tile(int M, int N, int sm_count, Then then) {
    using Wide = LinearTensor<2, 4>;
    using Square = LinearTensor<2, 2>;
    const int wide = ceil_div(M, Wide::m) * ceil_div(N, Wide::n),
              square = ceil_div(M, Square::m) * ceil_div(N, Square::n);
    if (ceil_div(wide, sm_count * Wide::blocks) <= ceil_div(square, sm_count * Square::blocks)) then(Wide{}, wide);
    else then(Square{}, square);
}

template <class Shape, class A, class B, class Epilogue>
void linear_tensor_by(const Epilogue& epilogue, const A& a, const B& b, int K, const Gpu<bf16>& on) {
    launch(linear_tensor_kernel<Shape, A, B, Epilogue>, ceil_div(a.outers, Shape::m) * ceil_div(b.outers, Shape::n),
           Shape::threads, Shape::bytes, on, epilogue, a, b, K, K);
}

template <class A, class B, class Epilogue>
void linear_tensor(const Epilogue& epilogue, const A& a, const B& b, int K, const Gpu<bf16>& on) {
    if constexpr (A::along == Along::k && B::along == Along::k)
        if (a.outers <= linear_few && on.trusts(Kernels::linear_few)) return linear_few_product(epilogue, a.data, b, a.outers, K, on);
    by_linear_tile(a.outers, b.outers, on.sm_count,
                   [&](auto shape, int) { linear_tensor_by<decltype(shape)>(epilogue, a, b, K, on); });
}

// c += a . b, or =
template <class A, class B>
void linear_tensor_sum(float* c, const A& a, const B& b, int K, const Gpu<bf16>& on) {
    by_linear_tile(a.outers, b.outers, on.sm_count, [&](auto shape, int tiles) {
        using Shape = decltype(shape);
        const int parts = linear_parts(tiles, on.sm_count * Shape::blocks, K);
        const int k_of_block = round_up(ceil_div(K, parts), Shape::k);
        const size_t n = size_t(a.outers) * b.outers;
        float* partial = parts > 1 ? on.template scratch<float>(parts * n) : nullptr;
        launch(linear_tensor_kernel<Shape, A, B, LinearSum>, dim3(tiles, ceil_div(K, k_of_block)), Shape::threads,
               Shape::bytes, on, LinearSum{partial ? partial : c, partial ? n : 0, on.into, b.outers}, a, b, K,
               k_of_block);
        if (partial)
            launch(linear_partials_kernel<8>, flat_grid<8>(n), flat_block, 0, on, c, partial, on.into, n,
                   ceil_div(K, k_of_block));
    });
}
