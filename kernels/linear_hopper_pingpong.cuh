// The matmuls of linear_hopper.cuh with two warpgroups in turn: each owns a whole tile of c, and while the one
// multiplies, the other does all that follows, with every register it has.
//
// A warp's sums go through shared memory, rounded with their bias, to become rows; the warp itself reads them back,
// runs the epilogue and writes. Those that stay fp32 it writes as they are. Two things pass from one tile's warpgroup
// to the next tile's: the tensor cores, once the last product has begun, and each warp's part of the staging.
#pragma once
#include "linear_hopper.cuh"

// A tile is 64 I x n, of one warpgroup. Sums become bf16, through shared memory, or stay fp32.
template <int n_, int stages_, bool fp32>
struct LinearTurns {
    static constexpr bool turns = true;
    static constexpr int I = 2, n = n_, stages = stages_, passes = fp32 ? 0 : n / 64;
    static constexpr int rows = 64 * I, m = rows, k = 64, columns = 64;  // columns: of a pass
    static constexpr int group = 128, threads = 3 * group;
    static constexpr int panel = 64 * 64;
    static constexpr int multiplying = 240, others = 504 - 2 * multiplying;
    static constexpr int pitch = n + 8;  // as in LinearHopper
    static_assert(fp32 || pitch % 64 == 8);
    struct Shared {
        struct Stage {
            bf16 a[m * k], b[n * k];
        } ring[stages];
        bf16 ones[passes ? 8 : 8 * k];
        bf16 staging[passes ? rows * pitch : 8];
        float column_sums[passes ? 2 : 1][4][passes ? n : 1];  // of a warpgroup's warps
        AsyncBarrier full[stages], empty[stages];
        AsyncBarrier multiplied[2];  // of each warpgroup: the other one's last product of a tile has begun
        AsyncBarrier drained[4];     // a warp's part of the staging was read
    };
    static constexpr size_t bytes = sizeof(Shared);
    static constexpr unsigned stage_bytes = sizeof(typename Shared::Stage);
    static_assert(bytes <= 227 << 10 && stage_bytes % 1024 == 0);
};
using LinearPingpong = LinearTurns<192, 4, false>;

// Whether the sums over each tile's rows of what the epilogue writes are kept, too.
template <class Epilogue>
constexpr bool linear_sums_columns = requires {
    Epilogue::sums_columns;
};

#if HOPPER
// What follows of a warp's 16 I rows, 64 columns at a time. A lane keeps to its columns of each 64 and does every so
// many rows; what the epilogue reads is on its way 64 columns ahead.
template <class Shape, class Epilogue>
struct PingpongWriter {
    static constexpr int vectors = Epilogue::vectors, W = 8 * vectors, across = 8 / vectors, down = warp_size / across;
    static constexpr int steps = 16 * Shape::I / down;
    enum class Tile { whole, ragged };
    const Epilogue& epilogue;
    const int m0, n0, M, N, warp, row0, column;

    __device__ PingpongWriter(const Epilogue& epilogue, int m0, int n0, int M, int N)
        : epilogue(epilogue),
          m0(m0),
          n0(n0),
          M(M),
          N(N),
          warp(threadIdx.x / warp_size % 4),
          row0(threadIdx.x % warp_size / across),
          column(threadIdx.x % across * W) {}

    __device__ int row_of(int u) const {
        const int r = row0 + u * down;
        return r / 16 * 64 + 16 * warp + r % 16;
    }
    __device__ bool inside(int u, int c) const { return m0 + row_of(u) < M && n0 + c + column < N; }
    template <Tile tile>
    __device__ auto operand(int u, int c) const {
        return linear_row(epilogue, m0 + row_of(u), n0 + c + column,
                          c < Shape::n && (tile == Tile::whole || inside(u, c)));
    }
    __device__ Vec<W> take(const bf16* staging, int u, int c) const {
        Vec<W> x;
        UNROLL
        for (int v = 0; v < vectors; v++) {
            const Vec<8> part = load<8>(staging + row_of(u) * Shape::pitch + c + column + 8 * v);
            for (int i = 0; i < 8; i++) x[8 * v + i] = part[i];
        }
        return x;
    }
    // The sums over the warp's rows.
    __device__ static void keep(float* sums, Vec<W> sum) {
        UNROLL
        for (int offset = across; offset < warp_size; offset *= 2) UNROLL
        for (int i = 0; i < W; i++) sum[i] += __shfl_xor_sync(~0u, sum[i], offset);
        if (threadIdx.x % warp_size < across) store<W>(sums, sum);
    }
    // Without a branch for every vector, where the tile is whole: so they overlap.
    template <Tile tile>
    __device__ void write_tile(const bf16* staging, float* sums) const {
        std::conditional_t<linear_has_bias<Epilogue>, NoMoreBias, NoOperand> no_bias;
        decltype(linear_row(epilogue, 0, 0, true)) operands[steps];
        UNROLL
        for (int u = 0; u < steps; u++) operands[u] = operand<tile>(u, 0);
#pragma unroll 1
        for (int c = 0; c < Shape::n; c += Shape::columns) {
            Vec<W> sum = {};
            UNROLL
            for (int u = 0; u < steps; u++) {
                const auto of = operands[u];
                operands[u] = operand<tile>(u, c + Shape::columns);
                if (tile == Tile::ragged && !inside(u, c)) continue;
                const int m = m0 + row_of(u), n = n0 + c + column;
                if constexpr (linear_sums_columns<Epilogue>)
                    sum = plus(sum, epilogue.write(take(staging, u, c), no_bias, of, m, n));
                else epilogue.write(take(staging, u, c), no_bias, of, m, n);
            }
            if constexpr (linear_sums_columns<Epilogue>) keep(sums + c + column, sum);
        }
    }
    __device__ void write(const bf16* staging, float* sums) const {
        if (m0 + Shape::m <= M && n0 + Shape::n <= N) write_tile<Tile::whole>(staging, sums);
        else write_tile<Tile::ragged>(staging, sums);
    }
    // Lines of a warp's rows, which the epilogue will read.
    __device__ void prefetch() const {
        if constexpr (requires { epilogue.prefetch(0, 0); }) {
            const int lane = threadIdx.x % warp_size, row = m0 + lane / 16 * 64 + 16 * warp + lane % 16;
            if (lane >= 16 * Shape::I || row >= M) return;
            for (int c = 0; c < Shape::n && n0 + c < N; c += 64) epilogue.prefetch(row, n0 + c);
        }
    }
};

// Adds up a warpgroup's warps.
template <class Shape>
__device__ void pingpong_column_sums(float* to, const float (&sums)[4][Shape::n], int n0, int N) {
    for (int c = threadIdx.x % Shape::group; c < Shape::n && n0 + c < N; c += Shape::group)
        to[n0 + c] = sums[0][c] + sums[1][c] + sums[2][c] + sums[3][c];
}

// Warpgroup `group`, 0 or 1: every second tile. Of a warp's barrier, passed on from tile to tile, it waits for the
// phase before its own, whose parity is always the same.
template <class Shape, class A, class B, class Epilogue>
__device__ void linear_pingpong_consume(typename Shape::Shared& shared, const Epilogue& epilogue, float* column_sums,
                                        const LinearWork& work, const decltype(B::order)& order, int group) {
    constexpr Major of_a = A::along == Along::k ? Major::k : Major::across,
                    of_b = B::along == Along::k ? Major::k : Major::across;
    const unsigned before = group == 0;
    const int warp = threadIdx.x / warp_size % 4;
    const bool first_lane = threadIdx.x % warp_size == 0;
    RingTurn<Shape::stages> turn;
    int tile = 0;
    for (LinearPieces<Shape> piece(work); piece.next(); tile++) {
        if (tile % 2 != group) {
            for (int step = 0; step < piece.steps; step++) turn.next();
            continue;
        }
        const PingpongWriter<Shape, Epilogue> writer(epilogue, piece.m0, piece.n0, work.M, work.N);
        writer.prefetch();
        float sum[Shape::I][Shape::n / 2] = {};  // assigned: so its registers are free in what follows the last tile
        UNROLL
        for (int i = 0; i < Shape::I; i++) wgmma_done(sum[i]);  // here, where this warpgroup waits anyway
        // A barrier for each: a warp that is ahead of its own warpgroup must not take the phase that this has still
        // to end for the one before.
        RowSumsOf<Shape, Epilogue> rows;
        barrier_wait(&shared.multiplied[group], (tile / 2 ^ before) & 1);
        linear_hopper_piece<Shape, of_a, of_b>(sum, shared, turn, 0, piece, rows);
        if (first_lane) barrier_arrive(&shared.multiplied[group ^ 1]);
        if constexpr (Shape::passes == 0) {
            linear_hopper_done<Shape>(sum, shared, turn, rows);
            linear_hopper_write<Shape>(epilogue, sum, rows, piece, 0);
        } else {
            LinearBias<Shape, decltype(B::order), Epilogue> bias;
            bias.load(epilogue, order, piece.n0, work.N);
            linear_hopper_done<Shape>(sum, shared, turn, rows);
            barrier_wait(&shared.drained[warp], before);
            UNROLL
            for (int pass = 0; pass < Shape::passes; pass++) {
                linear_hopper_stage<Shape>(shared.staging + 64 * pass, sum, bias, pass);
                if (pass + 1 < Shape::passes) bias.load(epilogue, order, piece.n0 + 64 * (pass + 1), work.N);
            }
            __syncwarp();
            writer.write(shared.staging, shared.column_sums[group][warp]);
            __syncwarp();
            if (first_lane) barrier_arrive(&shared.drained[warp]);
            if constexpr (linear_sums_columns<Epilogue>) {
                named_barrier_sync(1 + group, Shape::group);
                pingpong_column_sums<Shape>(column_sums + size_t(piece.m0 / Shape::m) * work.N,
                                            shared.column_sums[group], piece.n0, work.N);
                named_barrier_sync(1 + group, Shape::group);  // they may be written again
            }
        }
    }
}

template <class Shape>
__device__ void linear_pingpong_barriers(typename Shape::Shared& shared) {
    if (threadIdx.x == 0) {
        constexpr int warps = 4;  // of the tile's warpgroup
        for (int s = 0; s < Shape::stages; s++) barrier_init(&shared.full[s], 1), barrier_init(&shared.empty[s], warps);
        for (AsyncBarrier& m : shared.multiplied) barrier_init(&m, warps);
        for (int w = 0; w < warps; w++) barrier_init(&shared.drained[w], 1);
        barrier_init_fence();
    }
    __syncthreads();
}
#endif

template <class Shape, class A, class B, class Epilogue>
__global__ void __launch_bounds__(hopper_threads(Shape::threads), 1)
    linear_pingpong_kernel(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b, Epilogue epilogue,
                           float* column_sums, LinearWork work, decltype(B::order) order) {
#if HOPPER
    auto& shared = *dynamic_shared<typename Shape::Shared>();
    if constexpr (std::is_same_v<Epilogue, LinearSumAndRows>) linear_hopper_ones<Shape>(shared);
    linear_pingpong_barriers<Shape>(shared);
    const int group = __shfl_sync(~0u, threadIdx.x / Shape::group, 0);  // known to be the same in all lanes
    if (group > 0) {
        registers_grow<Shape::multiplying>();
        linear_pingpong_consume<Shape, A, B, Epilogue>(shared, epilogue, column_sums, work, order, group - 1);
    } else {
        registers_shrink<Shape::others>();
        if (threadIdx.x == 0) linear_hopper_copy<Shape, A, B>(shared, a, b, work);
    }
#endif
}

// column_sums (rows of tiles, N): where the epilogue sums columns.
template <class Shape, class A, class B, class Epilogue>
void linear_turns_by(const Epilogue& epilogue, float* column_sums, const A& a, const B& b, int K, int k_of_part,
                     const Gpu<bf16>& on) {
    const LinearWork work{a.outers, b.outers, K, k_of_part, ceil_div(K, k_of_part)};
    const int pieces = linear_tiles<Shape>(work.M, work.N) * work.parts;
    launch(linear_pingpong_kernel<Shape, A, B, Epilogue>, std::min(pieces, on.sm_count), Shape::threads, Shape::bytes,
           on, linear_map(a, K, Shape::m), linear_map(b, K, Shape::n), epilogue, column_sums, work, b.order);
}

// d_bias, which may be null, += the sums over the rows of what the epilogue writes, or =.
template <class A, class B, class Epilogue>
void linear_pingpong(const Epilogue& epilogue, const A& a, const B& b, int K, const Gpu<bf16>& on,
                     float* d_bias = nullptr) {
    using Shape = LinearPingpong;
    const int down = ceil_div(a.outers, Shape::m), N = b.outers;
    float* const sums = linear_sums_columns<Epilogue> ? on.template scratch<float>(size_t(down) * N) : nullptr;
    linear_turns_by<Shape>(epilogue, sums, a, b, K, round_up(K, Shape::k), on);
    if (d_bias) column_sum(d_bias, sums, down, N, on);
}

// Sums that stay fp32, by the kernel that the shape is for.
template <class Shape, class A, class B, class Epilogue>
void linear_sum_by(const Epilogue& epilogue, const A& a, const B& b, int K, int k_of_part, const Gpu<bf16>& on) {
    if constexpr (Shape::turns) linear_turns_by<Shape>(epilogue, nullptr, a, b, K, k_of_part, on);
    else linear_hopper_by<Shape>(epilogue, a, b, K, k_of_part, on);
}

// c += a . b, or =, with k cut into so many parts, or fewer; and row_sums, which may be null, += the sums of a's rows.
template <class Shape, class A, class B>
void linear_hopper_sum_by(float* c, float* row_sums, const A& a, const B& b, int K, int parts, const Gpu<bf16>& on) {
    const int M = a.outers, N = b.outers;
    const size_t n = size_t(M) * N;
    const int k_of_part = round_up(ceil_div(K, parts), Shape::k);
    parts = ceil_div(K, k_of_part);
    const int shares = parts * ceil_div(N, Shape::n);
    const size_t of_c = parts > 1 ? parts * n : 0, of_rows = row_sums ? size_t(shares) * M : 0;
    float* const scratch = of_c + of_rows ? on.template scratch<float>(of_c + of_rows) : nullptr;
    float* const partial = of_c ? scratch : nullptr;
    const LinearSum sum{partial ? partial : c, of_c ? n : 0, on.into, N};
    if (row_sums) {
        float* const rows = scratch + of_c;
        linear_sum_by<Shape>(LinearSumAndRows{sum, rows}, a, b, K, k_of_part, on);
        column_sum(row_sums, rows, shares, M, on);
    } else linear_sum_by<Shape>(sum, a, b, K, k_of_part, on);
    if (partial) launch(linear_partials_kernel<8>, flat_grid<8>(n), flat_block, 0, on, c, partial, on.into, n, parts);
}
