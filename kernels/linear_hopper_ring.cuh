// What the warpgroups of linear_hopper.cuh share: shared memory and its barriers, the order of the work, and the ring
// of tiles along k that tensor copies fill.
#pragma once
#include "kernels/tools/ptx_hopper.cuh"
#include "kernels/tools/ring_turn.cuh"
#include "linear_operand.cuh"
#include "linear_place.cuh"

// A block owns m x n of c at a time: two warpgroups multiply, each 64 rows of it. Sums that become bf16 leave for the
// writers (1 pass over the columns); those that stay fp32 (0 passes) are written at once. With them may go the sums of
// a's rows, which are its products with a column of ones.
template <int n_, int stages_, int passes_>
struct LinearHopper {
    static constexpr bool turns = false;
    static constexpr int I = 1, n = n_, stages = stages_, passes = passes_;
    static constexpr int rows = 64 * I, m = 2 * rows, k = 64;            // rows: a warpgroup's
    static constexpr int columns = passes ? n / passes : 8;              // of a pass
    static constexpr int group = 128, threads = 3 * group, writers = 3;  // warps, beside the one that copies
    static constexpr int panel = 64 * 64;  // elements: as many rows of a (columns of b) as k, in either layout
    // Registers of a thread that copies or writes, and of one that multiplies: what there is for all.
    static constexpr int multiplying = passes ? 208 : 232, others = 504 - 2 * multiplying;
    // The sums' rows on their way to the writers begin 4 banks apart: neither 8 vectors of a column nor those of a row
    // share a bank.
    static constexpr int pitch = columns + 8;
    static_assert(passes == 0 || pitch % 16 == 8);
    struct Shared {
        struct Stage {
            bf16 a[m * k], b[n * k];
        } ring[stages];
        bf16 ones[passes ? 8 : 8 * k];
        bf16 staging[2][passes ? rows * pitch : 8];
        AsyncBarrier full[stages], empty[stages];  // of the ring
        AsyncBarrier staged[2], taken[2];          // of a warpgroup's sums
    };
    static constexpr size_t bytes = sizeof(Shared);
    static constexpr unsigned stage_bytes = sizeof(typename Shared::Stage);
    static_assert(bytes <= 227 << 10 && stage_bytes % 1024 == 0);
};

// c (M,N) = a . b over K, which is cut into parts.
struct LinearWork {
    int M, N, K, k_of_part, parts;
};

// Tile after tile of c for a block, part after part.
template <class Shape>
struct LinearPieces {
    const LinearWork& work;
    int number, down, across;
    int m0, n0, k0, steps, part;

    __device__ explicit LinearPieces(const LinearWork& work) : work(work), number(blockIdx.x) {
        down = ceil_div(work.M, Shape::m), across = ceil_div(work.N, Shape::n);
    }
    // Those that run together share rows of tiles about as high as their columns are wide. Where a row has few tiles,
    // all of it runs together anyway, and an H100 is faster when neighbours share its columns less (dev/doc/gemm.md).
    __device__ int high() const { return across <= 16 ? 4 : 16; }
    __device__ bool next() {
        const int tiles = down * across;
        if (number >= tiles * work.parts) return false;
        part = number / tiles;
        const LinearPlace place = linear_place(number % tiles, down, across, high());
        m0 = place.m * Shape::m, n0 = place.n * Shape::n, k0 = part * work.k_of_part;
        steps = ceil_div(std::min(work.K - k0, work.k_of_part), Shape::k);
        number += gridDim.x;
        return true;
    }
    // Those beside each other share a's rows, and each keeps the sums of its steps of them, from.. to before ..: in all
    // of them, all.
    __device__ int sum_from() const { return n0 / Shape::n * steps / across; }
    __device__ int sum_to() const { return (n0 / Shape::n + 1) * steps / across; }
    __device__ int sum_row() const { return part * across + n0 / Shape::n; }
};

// Rows of a (columns of b) from `first` on, as panels.
template <class Operand>
TensorMap linear_map(const Operand& x, int K, int rows) {
    const auto at = [](auto n) { return uint64_t(n); };
    const uint64_t ld = at(x.ld);
    if constexpr (Operand::along == Along::outer) return tensor_map(x.data, {at(x.outers), at(K)}, {ld}, {64, 64});
    else if constexpr (std::is_same_v<decltype(x.order), RowsInTurns>)
        return tensor_map(x.data, {at(K), 8, 2, at(x.order.F / 8)}, {ld, ld * at(x.order.F), 8 * ld},
                          {64, 8, 2, unsigned(rows / 16)});
    else return tensor_map(x.data, {at(K), at(x.outers)}, {ld}, {64, unsigned(rows)});
}

#if HOPPER
template <class Shape>
__device__ void linear_hopper_barriers(typename Shape::Shared& shared) {
    if (threadIdx.x == 0) {
        constexpr int warps_of_group = 4, readers = 2 * warps_of_group;
        for (int s = 0; s < Shape::stages; s++)
            barrier_init(&shared.full[s], 1), barrier_init(&shared.empty[s], readers);
        for (int g = 0; g < 2; g++)
            barrier_init(&shared.staged[g], warps_of_group), barrier_init(&shared.taken[g], Shape::writers);
        barrier_init_fence();
    }
    __syncthreads();
}

template <class Operand, int rows>
__device__ void linear_copy(bf16* tile, const TensorMap& map, AsyncBarrier* full, int first, int k0) {
    if constexpr (Operand::along == Along::outer) {
        UNROLL
        for (int r = 0; r < rows; r += 64) tensor_load(tile + 64 * r, map, full, first + r, k0);
    } else if constexpr (std::is_same_v<decltype(Operand::order), RowsInTurns>)
        tensor_load(tile, map, full, k0, 0, 0, first / 16);
    else tensor_load(tile, map, full, k0, first);
}

// By one thread: fills the ring for all of the block's work.
template <class Shape, class A, class B>
__device__ void linear_hopper_copy(typename Shape::Shared& shared, const TensorMap& a, const TensorMap& b,
                                   const LinearWork& work) {
    prefetch_tensor_map(a), prefetch_tensor_map(b);
    RingTurn<Shape::stages> turn;
    for (LinearPieces<Shape> piece(work); piece.next();)
        for (int step = 0; step < piece.steps; step++, turn.next()) {
            AsyncBarrier* const full = &shared.full[turn.slot];
            auto& stage = shared.ring[turn.slot];
            const int k0 = piece.k0 + step * Shape::k;
            barrier_wait(&shared.empty[turn.slot], turn.parity ^ 1);
            barrier_arrive_expect(full, Shape::stage_bytes);
            linear_copy<A, Shape::m>(stage.a, a, full, piece.m0, k0);
            linear_copy<B, Shape::n>(stage.b, b, full, piece.n0, k0);
        }
}
#endif
