// The matmuls of linear.cuh on Hopper's tensor cores (compute capability 9.0), for bf16 and rows of whole vectors of 8:
// c (M,N) = a . b over k, in fp32.
//
// As many blocks as multiprocessors walk over the tiles of c. In a block one thread fills a ring of tiles along k by
// tensor copies, across the ends of tiles of c; two warpgroups multiply straight from the ring, each its own rows of
// the tile (either matrix may lie along k or across it); and a fourth warpgroup does what follows (linear_epilogue.cuh)
// while the next tile is multiplied: it gets the sums with their bias, rounded, through shared memory. Gradients of
// weights stay fp32 and are written by those who multiplied; where c has too few tiles for the GPU, k is cut into
// parts, whose sums are added in order.
#pragma once
#include "kernels/tools/tensor_map.cuh"
#include "linear_epilogue.cuh"
#include "linear_hopper_ring.cuh"
#include "linear_tensor.cuh"

#if HOPPER
// Of a warpgroup's thread: its warp, and where in 16 x 8 sums its four stand.
struct LinearLane {
    int group, warp, lane, g, t;
    __device__ LinearLane()
        : group(threadIdx.x / 128),
          warp(threadIdx.x / warp_size % 4),
          lane(threadIdx.x % warp_size),
          g(lane / 4),
          t(lane % 4) {}
};

// The sums of a's rows, or none of them.
template <class Shape>
struct LinearRowSums {
    static constexpr bool kept = true;
    float sum[Shape::I][4] = {};
    uint64_t ones;
};
struct NoRowSums {
    static constexpr bool kept = false;
};

// sum = a . b over the steps begin .. end - 1 of a piece, the next ones of the ring; from step 0 on they are added. The
// last product may still be running. What is kept of a's rows is kept of these steps.
template <class Shape, Major of_a, Major of_b, class RowSums>
__device__ void linear_hopper_multiply(float (&sum)[Shape::I][Shape::n / 2], typename Shape::Shared& shared,
                                       RingTurn<Shape::stages>& turn, int group, int begin, int end, RowSums& rows) {
    constexpr unsigned panel_bytes = 2 * Shape::panel, stride = 1024;  // 8 rows of 128 bytes
    constexpr unsigned a_16 = of_a == Major::k ? 32 : 2 * stride, b_16 = of_b == Major::k ? 32 : 2 * stride;
    const uint64_t a0 = matrix_descriptor(shared.ring[0].a + group * Shape::rows * Shape::k, panel_bytes, stride),
                   b0 = matrix_descriptor(shared.ring[0].b, panel_bytes, stride);
    const bool first_lane = threadIdx.x % warp_size == 0;
    int last = turn.before();
#pragma unroll 1
    for (int step = begin; step < end; step++) {
        const uint64_t a = descriptor_at(a0, turn.slot * Shape::stage_bytes),
                       b = descriptor_at(b0, turn.slot * Shape::stage_bytes);
        barrier_wait(&shared.full[turn.slot], turn.parity);
        wgmma_fence();
        UNROLL
        for (int k = 0; k < Shape::k / 16; k++) UNROLL
        for (int i = 0; i < Shape::I; i++)
            wgmma<of_a, of_b>(sum[i], descriptor_at(a, i * panel_bytes + k * a_16), descriptor_at(b, k * b_16),
                              step > 0 || k > 0);
        if constexpr (RowSums::kept) {
            UNROLL
            for (int k = 0; k < Shape::k / 16; k++) UNROLL
            for (int i = 0; i < Shape::I; i++)
                wgmma<of_a>(rows.sum[i], descriptor_at(a, i * panel_bytes + k * a_16), rows.ones, true);
        }
        wgmma_commit();
        wgmma_wait<1>();  // the last step's are done
        if (step > 0 && first_lane) barrier_arrive(&shared.empty[last]);
        last = turn.slot;
        turn.next();
    }
}
template <class Shape, class RowSums>
__device__ void linear_hopper_done(float (&sum)[Shape::I][Shape::n / 2], typename Shape::Shared& shared,
                                   const RingTurn<Shape::stages>& turn, RowSums& rows) {
    wgmma_wait<0>();
    UNROLL
    for (int i = 0; i < Shape::I; i++) wgmma_done(sum[i]);
    if constexpr (RowSums::kept) {
        UNROLL
        for (int i = 0; i < Shape::I; i++) wgmma_done(rows.sum[i]);
    }
    if (threadIdx.x % warp_size == 0) barrier_arrive(&shared.empty[turn.before()]);
}

// A whole piece.
template <class Shape, Major of_a, Major of_b, class RowSums>
__device__ void linear_hopper_piece(float (&sum)[Shape::I][Shape::n / 2], typename Shape::Shared& shared,
                                    RingTurn<Shape::stages>& turn, int group, const LinearPieces<Shape>& piece,
                                    RowSums& rows) {
    NoRowSums none;
    if constexpr (RowSums::kept) {
        const int from = piece.sum_from(), to = piece.sum_to();
        rows.ones = matrix_descriptor(shared.ones, 0, 1024);
        UNROLL
        for (int i = 0; i < Shape::I; i++) wgmma_done(rows.sum[i]);  // zeros, before anything is in flight
        linear_hopper_multiply<Shape, of_a, of_b>(sum, shared, turn, group, 0, from, none);
        linear_hopper_multiply<Shape, of_a, of_b>(sum, shared, turn, group, from, to, rows);
        linear_hopper_multiply<Shape, of_a, of_b>(sum, shared, turn, group, to, piece.steps, none);
    } else linear_hopper_multiply<Shape, of_a, of_b>(sum, shared, turn, group, 0, piece.steps, none);
}
// By all, before the block's first barrier.
template <class Shape>
__device__ void linear_hopper_ones(typename Shape::Shared& shared) {
    for (int i = threadIdx.x; i < 8 * Shape::k; i += Shape::threads) shared.ones[i] = bf16(1.0f);
    proxy_fence();
}
template <class Shape, class Epilogue>
using RowSumsOf = std::conditional_t<std::is_same_v<Epilogue, LinearSumAndRows>, LinearRowSums<Shape>, NoRowSums>;

// The bias of a pass's columns, where there is one: of those that the thread holds sums of.
template <class Epilogue>
constexpr bool linear_has_bias = requires(Epilogue e) {
    e.bias;
};
template <class Shape, class Order, class Epilogue>
struct LinearBias {
    static constexpr int J = Shape::columns / 8;
    static constexpr bool any = linear_has_bias<Epilogue>;
    uint32_t pairs[any ? J : 1];
    __device__ void load(const Epilogue& epilogue, const Order& order, int n0, int N) {
        if constexpr (any) {
            UNROLL
            for (int j = 0; j < J; j++) {
                const bool inside = epilogue.bias && n0 + 8 * j < N;
                const bf16* from = epilogue.bias + order.of(n0 + 8 * j) + threadIdx.x % 4 * 2;
                pairs[j] = inside ? *reinterpret_cast<const uint32_t*>(from) : 0;
            }
        }
    }
    __device__ uint32_t rounded(int j, float left, float right) const {
        if constexpr (any)
            return pack_bf16(left + __uint_as_float(pairs[j] << 16), right + __uint_as_float(pairs[j] & 0xffff0000));
        else return pack_bf16(left, right);
    }
};

// A pass's sums of a warpgroup, on their way to the writers.
template <class Shape, class Bias>
__device__ void linear_hopper_stage(bf16* staging, const float (&sum)[Shape::I][Shape::n / 2], const Bias& bias,
                                    int pass) {
    const int lane = threadIdx.x % warp_size, warp = threadIdx.x / warp_size % 4;
    bf16* const place = staging + (16 * warp + lane % 16) * Shape::pitch + lane / 16 * 8;
    UNROLL
    for (int i = 0; i < Shape::I; i++) UNROLL
    for (int j = 0; j < Shape::columns / 8; j += 2) {
        const float* x = &sum[i][pass * Shape::columns / 2 + 4 * j];
        const uint32_t piece[4] = {bias.rounded(j, x[0], x[1]), bias.rounded(j, x[2], x[3]),
                                   bias.rounded(j + 1, x[4], x[5]), bias.rounded(j + 1, x[6], x[7])};
        stmatrix(place + 64 * i * Shape::pitch + 8 * j, piece);
    }
}

// Sums that stay fp32. What is added to is read 8 vectors ahead of the writing.
template <class Shape, class Epilogue, class RowSums>
__device__ void linear_hopper_write(const Epilogue& epilogue, const float (&sum)[Shape::I][Shape::n / 2],
                                    const RowSums& rows, const LinearPieces<Shape>& piece, int group) {
    static_assert(Shape::n % 64 == 0);
    const LinearLane at;
    const bool adds = !epilogue.part && epilogue.into == Into::add;
    const int n = piece.n0 + 2 * at.t;
    UNROLL
    for (int i = 0; i < Shape::I; i++) UNROLL
    for (int half = 0; half < 2; half++) {
        const int m = piece.m0 + group * Shape::rows + 64 * i + 16 * at.warp + 8 * half + at.g;
        if (m >= piece.work.M) continue;
        if constexpr (RowSums::kept)  // every column has them
            if (at.t == 0) epilogue.row_sums[size_t(piece.sum_row()) * piece.work.M + m] = rows.sum[i][2 * half];
        float2* const row =
            reinterpret_cast<float2*>(epilogue.c + piece.part * epilogue.part + size_t(m) * epilogue.N + n);
        UNROLL
        for (int j0 = 0; j0 < Shape::n / 8; j0 += 8) {
            float2 old[8];
            UNROLL
            for (int j = 0; j < 8; j++)
                old[j] = adds && piece.n0 + 8 * (j0 + j) < epilogue.N ? row[4 * (j0 + j)] : float2{};
            UNROLL
            for (int j = 0; j < 8; j++)
                if (piece.n0 + 8 * (j0 + j) < epilogue.N) {
                    const float* x = &sum[i][4 * (j0 + j) + 2 * half];
                    row[4 * (j0 + j)] = {x[0] + old[j].x, x[1] + old[j].y};
                }
        }
    }
}

// What the writers do with a warpgroup's sums: a thread keeps to its columns and does every so many rows.
template <class Shape, class Epilogue>
__device__ void linear_hopper_rows(const Epilogue& epilogue, const bf16* staging, int m0, int n0, int M, int N) {
    constexpr int per_row = Shape::n / 8, down = Shape::writers * warp_size / per_row, together = 4;
    static_assert(Epilogue::vectors == 1 && Shape::writers * warp_size % per_row == 0);
    const std::conditional_t<linear_has_bias<Epilogue>, NoMoreBias, NoOperand> no_bias;
    const int thread = threadIdx.x - warp_size, column = thread % per_row * 8, n = n0 + column;
    for (int row = thread / per_row; row < Shape::rows; row += together * down) UNROLL
    for (int u = 0; u < together; u++) {
        const int r = row + u * down;
        if (n < N && r < Shape::rows && m0 + r < M)
            epilogue.write(load<8>(staging + r * Shape::pitch + column), no_bias, NoOperand(), m0 + r, n);
    }
}

// A multiplying warpgroup: number `group` of them.
template <class Shape, class A, class B, class Epilogue>
__device__ void linear_hopper_consume(typename Shape::Shared& shared, const Epilogue& epilogue, const LinearWork& work,
                                      const decltype(B::order)& order, int group) {
    constexpr Major of_a = A::along == Along::k ? Major::k : Major::across,
                    of_b = B::along == Along::k ? Major::k : Major::across;
    RingTurn<Shape::stages> turn;
    unsigned parity = 1;  // of the staging, which is free at first
    float sum[Shape::I][Shape::n / 2];
    for (LinearPieces<Shape> piece(work); piece.next();) {
        RowSumsOf<Shape, Epilogue> rows;
        linear_hopper_piece<Shape, of_a, of_b>(sum, shared, turn, group, piece, rows);
        if constexpr (Shape::passes == 0) {
            linear_hopper_done<Shape>(sum, shared, turn, rows);
            linear_hopper_write<Shape>(epilogue, sum, rows, piece, group);
        } else {
            LinearBias<Shape, decltype(B::order), Epilogue> bias;
            bias.load(epilogue, order, piece.n0, work.N);
            linear_hopper_done<Shape>(sum, shared, turn, rows);
            barrier_wait(&shared.taken[group], parity);
            linear_hopper_stage<Shape>(shared.staging[group], sum, bias, 0);
            __syncwarp();
            if (threadIdx.x % warp_size == 0) barrier_arrive(&shared.staged[group]);
            parity ^= 1;
        }
    }
}

template <class Shape, class Epilogue>
__device__ void linear_hopper_finish(typename Shape::Shared& shared, const Epilogue& epilogue, const LinearWork& work) {
    unsigned parity = 0;
    for (LinearPieces<Shape> piece(work); piece.next(); parity ^= 1)
        for (int group = 0; group < 2; group++) {
            barrier_wait(&shared.staged[group], parity);
            linear_hopper_rows<Shape>(epilogue, shared.staging[group], piece.m0 + group * Shape::rows, piece.n0, work.M,
                                      work.N);
            __syncwarp();
            if (threadIdx.x % warp_size == 0) barrier_arrive(&shared.taken[group]);
        }
}
#endif

template <class Shape, class A, class B, class Epilogue>
__global__ void __launch_bounds__(hopper_threads(Shape::threads), 1)
    linear_hopper_kernel(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b, Epilogue epilogue,
                         LinearWork work, decltype(B::order) order) {
#if HOPPER
    auto& shared = *dynamic_shared<typename Shape::Shared>();
    if constexpr (std::is_same_v<Epilogue, LinearSumAndRows>) linear_hopper_ones<Shape>(shared);
    linear_hopper_barriers<Shape>(shared);
    const int warp = __shfl_sync(~0u, threadIdx.x / warp_size, 0),
              group = warp / 4;  // known to be the same in all lanes
    if (group == 1 || group == 2) {
        registers_grow<Shape::multiplying>();
        linear_hopper_consume<Shape, A, B>(shared, epilogue, work, order, group - 1);
    } else {
        registers_shrink<Shape::others>();
        if (threadIdx.x == 0) linear_hopper_copy<Shape, A, B>(shared, a, b, work);
        if constexpr (Shape::passes > 0)
            if (warp > 0) linear_hopper_finish<Shape>(shared, epilogue, work);
    }
#endif
}

template <class Shape, class A, class B, class Epilogue>
void linear_hopper_by(const Epilogue& epilogue, const A& a, const B& b, int K, int k_of_part, const Gpu<bf16>& on) {
    const LinearWork work{a.outers, b.outers, K, k_of_part, ceil_div(K, k_of_part)};
    const int pieces = linear_tiles<Shape>(work.M, work.N) * work.parts;
    launch(linear_hopper_kernel<Shape, A, B, Epilogue>, std::min(pieces, on.sm_count), Shape::threads, Shape::bytes, on,
           linear_map(a, K, Shape::m), linear_map(b, K, Shape::n), epilogue, work, b.order);
}
