// Attention backward on Hopper, what both sides' computing warpgroups use: products, their part of the ring, whose turn
// it is, and how sums leave. See attention_hopper_backward.cuh.
#pragma once
#include "attention_hopper_backward_ring.cuh"

#if HOPPER
// ---- Products: x[i] of a lane is row 8 (i / 2 % 2) + g of its warp, column 8 (i / 4) + 2 quad + i % 2 ----

// This warp's 16 rows of a matrix in shared memory as left operands. `rows` of it are in a panel.
template <int HS>
__device__ void hopper_load(uint32_t (&a)[HS / 16][4], const bf16* panel, int rows, int row) {
    const int lane = threadIdx.x % warp_size, r = row + lane % 16;
    UNROLL
    for (int k = 0; k < HS / 16; k++)
        ldmatrix(a[k], panel + k / 4 * rows * 64 + r * 64 + ((k % 4 * 2 + lane / 16) ^ (r % 8)) * 8);
}
// d = a b^T, rows of b in shared memory.
template <int HS, int columns>
__device__ void hopper_dots(float (&d)[columns / 2], const uint32_t (&a)[HS / 16][4], const bf16* b) {
    const uint64_t matrix = matrix_descriptor(b, 16, 1024);
    wgmma_fence();
    UNROLL
    for (int k = 0; k < HS / 16; k++)
        wgmma<Major::k>(d, a[k], descriptor_at(matrix, k / 4 * columns * 128 + k % 4 * 32), k > 0);
    wgmma_commit();
}
// The same, a in shared memory as b is.
template <int HS, int columns>
__device__ void hopper_dots(float (&d)[columns / 2], const bf16* a, const bf16* b) {
    const uint64_t left = matrix_descriptor(a, 16, 1024), right = matrix_descriptor(b, 16, 1024);
    wgmma_fence();
    UNROLL
    for (int k = 0; k < HS / 16; k++) {
        const int at = k / 4 * columns * 128 + k % 4 * 32;
        wgmma<Major::k, Major::k>(d, descriptor_at(left, at), descriptor_at(right, at), k > 0);
    }
    wgmma_commit();
}
// sum += a b, rows of b in shared memory.
template <int HS, int columns>
__device__ void hopper_sum(float (&sum)[HS / 2], const uint32_t (&a)[columns / 16][4], const bf16* b) {
    const uint64_t matrix = matrix_descriptor(b, columns * 128, 1024);
    wgmma_fence();
    UNROLL
    for (int k = 0; k < columns / 16; k++) wgmma<Major::across>(sum, a[k], descriptor_at(matrix, k * 2048), true);
    wgmma_commit();
}
template <int n>
__device__ void hopper_operand(uint32_t (&a)[n / 8][4], const float (&x)[n]) {
    UNROLL
    for (int i = 0; i < n / 2; i++) a[i / 4][i % 4] = pack_bf16(x[2 * i], x[2 * i + 1]);
}

// ---- The ring, as a computing warp sees it ----

template <class Shape>
struct AttentionHopperRing {
    typename Shape::Shared& shared;
    RingTurn<Shape::slots> turn = {};
    bool holds = false;  // the slot before this one, of which the last product may not be done

    __device__ void wait() const { barrier_wait(&shared.full[turn.slot], turn.parity); }
    __device__ const AttentionHopperNote<Shape::columns>& note() const { return shared.notes[turn.slot]; }
    __device__ const bf16* matrix(int i) const { return shared.ring[turn.slot][i]; }
    __device__ void leave() { release(turn.slot), turn.next(); }
    __device__ void hold() { holds = true, turn.next(); }
    // Its last product is done.
    __device__ void leave_held() {
        if (holds) release(turn.slot ? turn.slot - 1 : Shape::slots - 1);
        holds = false;
    }

private:
    __device__ void release(int slot) const {
        __syncwarp();
        if (threadIdx.x % warp_size == 0) barrier_arrive(&shared.empty[slot]);
    }
};

// The two warpgroups begin their tiles in turn: while one waits for its products, the other makes probabilities.
// Named barrier 1 + g tells group g that it may; what group 0 is told after its last tile, it waits for at the end.
struct AttentionHopperTurns {
    int group;  // 0 or 1
    __device__ void begin() const {
        if (group == 1) pass();
    }
    __device__ void wait() const { named_barrier_sync(1 + group, 256); }
    __device__ void pass() const { named_barrier_arrive(2 - group, 256); }
    __device__ void end() const {
        if (group == 0) wait();
    }
};

// Tile after tile of the other side: add() those of which the group sees anything. All sums are done then.
template <class Shape, class Sees, class Add>
__device__ void hopper_add_tiles(AttentionHopperRing<Shape>& ring, const AttentionHopperTurns& turns, Sees sees,
                                 Add add) {
    bool last;
    do {
        ring.wait();
        last = ring.note().last;
        turns.wait();
        if (sees(ring.note().start)) {
            add();
        } else {
            turns.pass();
            wgmma_wait<0>();
            ring.leave_held();
            ring.leave();
        }
    } while (!last);
    wgmma_wait<0>();
}
// All of the thread block's blocks of rows: f(number).
template <class F>
__device__ void hopper_all_blocks(const AttentionHopperWork& work, const AttentionHopperTurns& turns, F f) {
    turns.begin();
    attention_hopper_blocks(work, f);
    turns.end();
    if (threadIdx.x % warp_size == 0) tensor_store_wait<0>();
}

// Of a warp's 16 rows of d_q, d_k or d_v, one panel at a time. Rows beyond T are left out by the tensor copy.
template <int HS>
__device__ void hopper_store(const TensorMap& map, bf16* staging, const float (&x)[HS / 2], float factor, int head,
                             int t, int b) {
    const int lane = threadIdx.x % warp_size, r = lane % 16;
    UNROLL
    for (int panel = 0; panel < HS / 64; panel++) {
        if (lane == 0) tensor_store_wait_read<0>();
        __syncwarp();
        UNROLL
        for (int k = 0; k < 4; k++) {
            uint32_t out[4];
            UNROLL
            for (int i = 0; i < 4; i++) {
                const int at = panel * 32 + k * 8 + 2 * i;
                out[i] = pack_bf16(x[at] * factor, x[at + 1] * factor);
            }
            stmatrix(staging + r * 64 + ((k * 2 + lane / 16) ^ (r % 8)) * 8, out);
        }
        proxy_fence();
        __syncwarp();
        if (lane == 0) tensor_store(map, staging, panel * 64, head, t, b), tensor_store_commit();
    }
}
#endif
