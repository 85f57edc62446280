// Attention backward on Hopper, what the first warpgroup does: it brings the others their own rows and then, tile by tile,
// the other side's, in the slots of a ring. See attention_hopper_backward.cuh.
#pragma once
#include "attention_tensor_backward_key.cuh"
#include "kernels/tools/ptx_hopper.cuh"

enum class Owns { queries, keys };

// What belongs to a slot's tile or queries. log_sum: lse as a power of 2, infinite beyond T.
template <int columns>
struct AttentionHopperNote {
    int start, last;  // the tile's first row; whether it is the block's last
    float log_sum[columns], delta[columns];
    int first[columns];
};

template <int HS_, Owns owns, int columns_, bool turns_ = true, bool ahead_ = false,
          bool keeps_ = owns == Owns::queries || (HS_ == 64 && columns_ == 64)>
struct AttentionHopperBackward {
    static constexpr bool of_keys = owns == Owns::keys, keeps = keeps_, turns = turns_, ahead = ahead_;  // own rows in registers
    static constexpr int HS = HS_, rows = 128, columns = columns_, warps = 8, threads = 384;
    static constexpr int few_registers = keeps && !ahead ? 40 : 24, many_registers = keeps && !ahead ? 232 : 240;
    static constexpr int own_slots = keeps ? rows / columns : 0, slot_bytes = 2 * columns * HS * sizeof(bf16);
    static constexpr int own_bytes = keeps ? 1024 : 2 * rows * HS * sizeof(bf16);
    static constexpr int slots = std::min(8, (200 * 1024 - own_bytes) / slot_bytes);
    struct Shared {
        bf16 ring[slots][2][columns * HS];  // swizzled panels of 64 channels, `columns` rows each
        bf16 own[2][own_bytes / 2 / sizeof(bf16)];
        bf16 staging[warps][16 * 64];
        AttentionHopperNote<columns> notes[slots];
        AsyncBarrier full[slots], empty[slots], own_full, own_empty;
    };
    static_assert(sizeof(Shared) <= 227 * 1024);
};

#if HOPPER
// Blocks of rows that this thread block does, in pairs of a long and a short one: f(block). A block is a number from which
// its place follows, so that one register keeps it.
template <class Shape>
struct AttentionHopperPlace {
    int b, head, start;
    __device__ AttentionHopperPlace(const AttentionHead& at, unsigned block) {
        const int blocks = ceil_div(at.T, Shape::rows), heads = Shape::of_keys ? at.NKV : at.NH;
        const int number = block % blocks, row = block / blocks;
        b = row / heads, head = row % heads, start = number * Shape::rows;
    }
};
template <class Shape, class F>
__device__ void attention_hopper_blocks(const AttentionHead& at, F f) {
    const int blocks = ceil_div(at.T, Shape::rows), pairs = ceil_div(blocks, 2), heads = Shape::of_keys ? at.NKV : at.NH;
#pragma unroll 1
    for (int i = blockIdx.x; i < at.B * heads * pairs; i += gridDim.x) {
        const int low = i / pairs * blocks + i % pairs, high = (i / pairs + 1) * blocks - 1 - i % pairs;
#pragma unroll 1
        for (int block = low;; block = high) {
            f(unsigned(block));
            if (block >= high) break;
        }
    }
}

enum class Delivery { own, out, tile };

// What comes through the ring: f(what, batch, head, first row, whether it is the last tile). All lanes of a warp.
template <class Shape, class F>
__device__ void attention_hopper_deliveries(const int* first, const AttentionHead& at, F f) {
    constexpr int columns = Shape::columns;
    const int group = at.NH / at.NKV;
    attention_hopper_blocks<Shape>(at, [&](unsigned block) {
        const AttentionHopperPlace<Shape> place(at, block);
        const int b = place.b, head = place.head, start = place.start;
        if constexpr (Shape::keeps)
            _Pragma("unroll 1") for (int i = 0; i < Shape::own_slots; i++) f(Delivery::own, b, head, start + i * columns, false);
        else f(Delivery::own, b, head, start, false);
        if constexpr (Shape::of_keys) {
            const int end = attention_last_reader(first, at, b, std::min(start + Shape::rows, at.T) - 1);
#pragma unroll 1
            for (int h = head * group; h < (head + 1) * group; h++)
#pragma unroll 1
                for (int t = start; t < end; t += columns)
                    f(Delivery::tile, b, h, t, h + 1 == (head + 1) * group && t + columns >= end);
        } else {
            f(Delivery::out, b, head, start, false);
            const int end = std::min(start + Shape::rows, at.T);
#pragma unroll 1
            for (int s = first ? first[at.token(b, start)] / columns * columns : 0; s < end; s += columns)
                f(Delivery::tile, b, head / group, s, s + columns >= end);
        }
    });
}

// One warp starts the copies.
template <class Shape>
__device__ void attention_hopper_copy(const TensorMap& qkv, const TensorMap& d_out, const TensorMap& out, const int* first,
                                      const AttentionHead& at) {
    constexpr int columns = Shape::columns, HS = Shape::HS;
    auto& shared = *dynamic_shared<typename Shape::Shared>();
    int slot = 0;
    unsigned phase = 1, own_phase = 1;
    const auto copy = [&](bf16* to, const TensorMap& map, AsyncBarrier* full, int b, int head, int t) {
        for (int panel = 0; panel < HS / 64; panel++)
            tensor_load(to + panel * columns * 64, map, full, panel * 64, head, t, b);
    };
    attention_hopper_deliveries<Shape>(first, at, [&](Delivery what, int b, int head, int start, bool) {
        if (!Shape::keeps && what == Delivery::own) {
            if (threadIdx.x == 0) {
                barrier_wait(&shared.own_empty, own_phase);
                barrier_arrive_expect(&shared.own_full, 2 * Shape::rows * HS * sizeof(bf16));
                for (int r = 0; r < Shape::rows; r += columns) {
                    copy(shared.own[0] + r * HS, qkv, &shared.own_full, b, at.NH + head, start + r);
                    copy(shared.own[1] + r * HS, qkv, &shared.own_full, b, at.NH + at.NKV + head, start + r);
                }
            }
            own_phase ^= 1;
            return;
        }
        if (threadIdx.x == 0) {
            barrier_wait(&shared.empty[slot], phase);
            AsyncBarrier* const full = &shared.full[slot];
            bf16 *const first_half = shared.ring[slot][0], *const second_half = shared.ring[slot][1];
            if (what == Delivery::out) {
                barrier_arrive_expect(full, Shape::rows * HS * sizeof(bf16));
                copy(first_half, out, full, b, head, start);
                if (columns < Shape::rows) copy(second_half, out, full, b, head, start + columns);
            } else {
                barrier_arrive_expect(full, Shape::slot_bytes);
                const bool keys = Shape::of_keys == (what == Delivery::own);
                copy(first_half, qkv, full, b, keys ? at.NH + head : head, start);
                if (keys) copy(second_half, qkv, full, b, at.NH + at.NKV + head, start);
                else copy(second_half, d_out, full, b, head, start);
            }
        }
        if (++slot == Shape::slots) slot = 0, phase ^= 1;
    });
}

// Three warps write the notes, of every third slot each: their loads take longer than a tile.
template <class Shape>
__device__ void attention_hopper_note(const float* lse, const float* delta, const int* first, const AttentionHead& at,
                                      int mine) {
    constexpr int columns = Shape::columns;
    auto& shared = *dynamic_shared<typename Shape::Shared>();
    const int lane = threadIdx.x % warp_size;
    int slot = 0, turn = 0;
    unsigned phase = 1;
    attention_hopper_deliveries<Shape>(first, at, [&](Delivery what, int b, int head, int start, bool last) {
        if (!Shape::keeps && what == Delivery::own) return;
        barrier_wait(&shared.empty[slot], phase);  // of every slot: who misses a phase takes the next for it
        if (turn == mine) {
            auto& note = shared.notes[slot];
            if (what == (Shape::of_keys ? Delivery::tile : Delivery::own))
#pragma unroll 1
                for (int i = lane; i < columns; i += warp_size) {
                    const int t = start + i;
                    const size_t statistic = at.lse(b, head, t);
                    note.log_sum[i] = t < at.T ? lse[statistic] * log2_of_e : INFINITY;
                    if (Shape::of_keys) note.delta[i] = t < at.T ? delta[statistic] : 0;
                    note.first[i] = first ? first[at.token(b, std::min(t, at.T - 1))] : 0;
                }
            if (lane == 0) note.start = start, note.last = last;
            __syncwarp();
            if (lane == 0) barrier_arrive(&shared.full[slot]);
        }
        if (++turn == 3) turn = 0;
        if (++slot == Shape::slots) slot = 0, phase ^= 1;
    });
}
#endif
