// Attention backward on Hopper, what the first warpgroup does: it brings the others their own rows and then, tile by
// tile, the other side's, in the slots of a ring. See attention_hopper_backward.cuh.
#pragma once
#include "attention_tensor_backward_key.cuh"
#include "kernels/tools/ptx_hopper.cuh"
#include "kernels/tools/ring_turn.cuh"

enum class Owns { queries, keys };

// own: rows of the block's own side (keys and values, or queries and d_out). out: of queries. tile: of the other side.
enum class Delivery { own, out, tile, end };

// What belongs to a slot. log_sum: lse as a power of 2, infinite beyond T.
template <int columns>
struct AttentionHopperNote {
    Delivery what;
    int b, head, start;                                 // of its rows, the first
    bool last;                                          // of what the block needs
    alignas(8) float log_sum[columns], delta[columns];  // of queries, on whichever side they are
    alignas(8) int first[columns];
};

// A block has 128 rows of its own side and `columns` of the other side at a time: as many as there are registers for.
template <int HS_, Owns owns>
struct AttentionHopperBackward {
    static constexpr bool of_keys = owns == Owns::keys;
    static constexpr int HS = HS_, rows = 128, columns = of_keys || HS == 128 ? 64 : 128;
    static constexpr int threads = 384, warps = 8, noters = 3;  // warps that compute, and that write notes
    // Whether own rows stay in registers. Two sums of 128 channels leave no room for them: they stay in shared memory.
    static constexpr bool keeps = !of_keys || HS == 64;
    static constexpr int few_registers = keeps ? 40 : 24, many_registers = keeps ? 232 : 240;  // 168 for all
    static constexpr int own_slots = keeps ? rows / columns : 0;  // that the own rows take, on their way to registers
    static constexpr int slot_bytes = 2 * columns * HS * sizeof(bf16),
                         own_bytes = keeps ? 1024 : 2 * rows * HS * sizeof(bf16);  // 1024: of no use
    static constexpr int slots = std::min(8, (200 * 1024 - own_bytes) / slot_bytes);
    struct Shared {
        bf16 ring[slots][2][columns * HS];  // swizzled panels of 64 channels, `columns` rows each
        bf16 own[2][own_bytes / 2 / sizeof(bf16)];
        bf16 staging[warps][16 * 64];
        AttentionHopperNote<columns> notes[slots];
        AsyncBarrier told[slots], full[slots], empty[slots], own_full, own_empty;
    };
    static_assert(sizeof(Shared) <= 227 * 1024 && slots >= noters);
};

// The blocks of rows, in pairs of a long and a short one: numbers 2 i and 2 i + 1. Where a head has an odd number of
// blocks, its last pair lacks one. Reckoned once, as a thread that copies has 24 registers: these are in constant
// memory.
struct AttentionHopperWork {
    AttentionHead at;
    unsigned heads, group;   // of the block's own side; query heads to a key's
    unsigned blocks, pairs;  // of a head
    unsigned count, stride;  // of numbers, and from a thread block's pair to its next
    static AttentionHopperWork of(const AttentionHead& at, int rows, Owns owns, int sm_count) {
        const unsigned heads = owns == Owns::keys ? at.NKV : at.NH, blocks = ceil_div(at.T, rows);
        const unsigned pairs = ceil_div(blocks, 2u), all = at.B * heads * pairs;
        return {at, heads, unsigned(at.NH / at.NKV), blocks, pairs, 2 * all, 2 * std::min(unsigned(sm_count), all)};
    }
};

#if HOPPER
// Where a block of rows is; as that follows from its number, one register keeps it.
struct AttentionHopperPlace {
    int b, head, start;
    __device__ AttentionHopperPlace(const AttentionHopperWork& work, unsigned number, int rows) {
        const unsigned pair = number / 2, low = pair % work.pairs, row = pair / work.pairs;
        b = row / work.heads, head = row % work.heads, start = (number % 2 ? work.blocks - 1 - low : low) * rows;
    }
};
// Those that this thread block does: f(number).
template <class F>
__device__ void attention_hopper_blocks(const AttentionHopperWork& work, F f) {
#pragma unroll 1
    for (unsigned number = 2 * blockIdx.x; number < work.count; number += number % 2 ? work.stride - 1 : 1) {
        const bool lacks = number % 2 && number / 2 % work.pairs * 2 + 1 == work.blocks;
        if (!lacks) f(number);
    }
}

// One warp goes through all that the block needs, starts the copies, and tells the warps that write notes. Its first
// lane does, but all look for the last reader.
template <class Shape>
struct AttentionHopperDeliveries {
    static constexpr int HS = Shape::HS, rows = Shape::rows, columns = Shape::columns;
    const TensorMap &qkv, &d_out, &out;
    const int* first;
    const AttentionHopperWork& work;
    typename Shape::Shared& shared;
    RingTurn<Shape::slots> turn = {};
    unsigned own_parity = 0;

    __device__ static void copy(bf16* to, const TensorMap& map, AsyncBarrier* full, int b, int head, int t) {
        for (int panel = 0; panel < HS / 64; panel++)
            tensor_load(to + panel * columns * 64, map, full, panel * 64, head, t, b);
    }
    __device__ void copy_keys(bf16* keys, bf16* values, AsyncBarrier* full, int b, int head, int t) const {
        copy(keys, qkv, full, b, work.at.NH + head, t);
        copy(values, qkv, full, b, work.at.NH + work.at.NKV + head, t);
    }
    // To the next slot.
    __device__ void deliver(Delivery what, int b, int head, int start, bool last) {
        if (threadIdx.x != 0) return;
        barrier_wait(&shared.empty[turn.slot], turn.parity ^ 1);
        auto& note = shared.notes[turn.slot];
        note.what = what, note.b = b, note.head = head, note.start = start, note.last = last;
        barrier_arrive(&shared.told[turn.slot]);
        AsyncBarrier* const full = &shared.full[turn.slot];
        bf16 *const first_half = shared.ring[turn.slot][0], *const second_half = shared.ring[turn.slot][1];
        if (what == Delivery::out) {
            barrier_arrive_expect(full, rows * HS * sizeof(bf16));
            copy(first_half, out, full, b, head, start);
            if (columns < rows) copy(second_half, out, full, b, head, start + columns);
        } else if (what != Delivery::end) {
            barrier_arrive_expect(full, Shape::slot_bytes);
            if (Shape::of_keys == (what == Delivery::own)) {
                copy_keys(first_half, second_half, full, b, head, start);
            } else {
                copy(first_half, qkv, full, b, head, start);
                copy(second_half, d_out, full, b, head, start);
            }
        }
        turn.next();
    }
    // The block's own rows: through the ring, or keys to where they stay.
    __device__ void deliver_own(int b, int head, int start) {
        if constexpr (Shape::keeps) {
#pragma unroll 1
            for (int r = 0; r < rows; r += columns) deliver(Delivery::own, b, head, start + r, false);
        } else if (threadIdx.x == 0) {
            barrier_wait(&shared.own_empty, own_parity ^ 1);
            barrier_arrive_expect(&shared.own_full, Shape::own_bytes);
            UNROLL
            for (int r = 0; r < rows; r += columns)
                copy_keys(shared.own[0] + r * HS, shared.own[1] + r * HS, &shared.own_full, b, head, start + r);
            own_parity ^= 1;
        }
    }
    // The queries of all heads of the group that see some of these keys.
    __device__ void deliver_queries(int b, int head, int start, int end) {
        const int t_end = attention_last_reader(first, work.at, b, end - 1);
#pragma unroll 1
        for (int h = head * work.group, h_end = h + work.group; h < h_end; h++)
#pragma unroll 1
            for (int t = start; t < t_end; t += columns)
                deliver(Delivery::tile, b, h, t, h + 1 == h_end && t + columns >= t_end);
    }
    __device__ void deliver_keys(int b, int head, int start, int end) {
#pragma unroll 1
        for (int s = first ? first[work.at.token(b, start)] / columns * columns : 0; s < end; s += columns)
            deliver(Delivery::tile, b, head / work.group, s, s + columns >= end);
    }
    __device__ void run() {
        attention_hopper_blocks(work, [&](unsigned number) {
            const AttentionHopperPlace place(work, number, rows);
            const int b = place.b, head = place.head, start = place.start, end = std::min(start + rows, work.at.T);
            deliver_own(b, head, start);
            if constexpr (Shape::of_keys) {
                deliver_queries(b, head, start, end);
            } else {
                deliver(Delivery::out, b, head, start, false);
                deliver_keys(b, head, start, end);
            }
        });
#pragma unroll 1
        for (int warp = 0; warp < Shape::noters; warp++) deliver(Delivery::end, 0, 0, 0, false);
    }
};

// Three warps write the notes, of every third slot each: their loads take longer than a tile.
template <class Shape>
struct AttentionHopperNotes {
    static constexpr int columns = Shape::columns;
    const float *lse, *delta;
    const int* first;
    const AttentionHead& at;
    typename Shape::Shared& shared;

    __device__ void write_queries(AttentionHopperNote<columns>& note) const {
        const int b = note.b, head = note.head, start = note.start;
        for (int i = threadIdx.x % warp_size; i < columns; i += warp_size) {
            const int t = std::min(start + i, at.T - 1);
            const size_t statistic = at.lse(b, head, t);
            note.log_sum[i] = start + i < at.T ? lse[statistic] * log2_of_e : INFINITY;
            if (Shape::of_keys) note.delta[i] = delta[statistic];
            note.first[i] = first ? first[at.token(b, t)] : 0;
        }
    }
    __device__ void run(int warp) const {
        for (unsigned i = warp;; i += Shape::noters) {
            const unsigned slot = i % Shape::slots;
            auto& note = shared.notes[slot];
            // What came before in this slot has been told, as it came no later than what this warp last wrote about.
            barrier_wait(&shared.told[slot], i / Shape::slots % 2);
            if (note.what == Delivery::end) return;
            if (note.what == (Shape::of_keys ? Delivery::tile : Delivery::own)) write_queries(note);
            __syncwarp();
            if (threadIdx.x % warp_size == 0) barrier_arrive(&shared.full[slot]);
        }
    }
};
#endif
