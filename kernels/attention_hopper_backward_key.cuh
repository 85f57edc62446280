// Attention backward on Hopper, a computing warpgroup on the side of the keys: d_k and d_v. See
// attention_hopper_backward.cuh.
#pragma once
#include "attention_hopper_backward_group.cuh"

#if HOPPER
template <int HS>
struct AttentionHopperKeys {
    using Shape = AttentionHopperBackward<HS, Owns::keys>;
    static constexpr int columns = Shape::columns;
    using Note = AttentionHopperNote<columns>;
    // The warp's 16 keys and values, where registers have room.
    struct Own {
        int s_group;  // the first key of the group's 64
        uint32_t key[Shape::keeps ? HS / 16 : 1][4], value[Shape::keeps ? HS / 16 : 1][4];
    };
    struct Sums {
        float d_key[HS / 2] = {}, d_value[HS / 2] = {};
    };
    using Tile = float[columns / 2];

    const TensorMap& d_qkv;
    const AttentionHopperWork& work;
    float scale;
    int group;  // 0 or 1
    typename Shape::Shared& shared;
    AttentionHopperRing<Shape> ring{shared};
    const AttentionHopperTurns turns{group};
    unsigned own_parity = 0;

    // The warp's first row in the block.
    __device__ int row() const { return 64 * group + threadIdx.x / warp_size % 4 * 16; }

    __device__ void load_own(Own& own) {
        if constexpr (Shape::keeps) {
            UNROLL
            for (int i = 0; i < Shape::own_slots; i++) {
                ring.wait();
                if (i == 64 * group / columns) {
                    hopper_load<HS>(own.key, ring.matrix(0), columns, row() % columns);
                    hopper_load<HS>(own.value, ring.matrix(1), columns, row() % columns);
                }
                ring.leave();
            }
        } else {
            barrier_wait(&shared.own_full, own_parity);
            own_parity ^= 1;
        }
    }
    __device__ void leave_own() const {
        if constexpr (!Shape::keeps) {
            __syncwarp();
            if (threadIdx.x % warp_size == 0) barrier_arrive(&shared.own_empty);
        }
    }
    // d = k q^T, or v d_out^T: matrix 0 or 1.
    template <int matrix>
    __device__ void dots(Tile& d, const Own& own) const {
        if constexpr (!Shape::keeps)
            hopper_dots<HS, columns>(d, shared.own[matrix] + group * 64 * HS, ring.matrix(matrix));
        else hopper_dots<HS, columns>(d, matrix ? own.value : own.key, ring.matrix(matrix));
    }

    // f(register, what an array of the note says of its column): two columns in a load.
    template <class Pair, class U, class F>
    __device__ static void of_columns(const U* of_note, F f) {
        const int quad = threadIdx.x % 4;
        UNROLL
        for (int j = 0; j < columns / 8; j++) {
            const Pair pair = *reinterpret_cast<const Pair*>(of_note + 8 * j + 2 * quad);
            for (int c = 0; c < 4; c++) f(4 * j + c, c % 2 ? pair.y : pair.x);
        }
    }
    __device__ void mask(Tile& score, const Note& note, int s_lane) const {
        const int before = note.start + threadIdx.x % 4 * 2 - s_lane;  // from the lane's first key to its first query
        of_columns<int2>(note.first, [&](int i, int from) {
            const int further = 8 * (i / 2 % 2) - i % 2;
            if ((further > before + i / 4 * 8) | (8 * (i / 2 % 2) < from - s_lane)) score[i] = -INFINITY;
        });
    }
    __device__ void probabilities(Tile& score, const Own& own, const Note& note) const {
        const int s_lane = own.s_group + row() % 64 + threadIdx.x % warp_size / 4;
        if (note.start < own.s_group + 63 || note.first[columns - 1] > own.s_group) mask(score, note, s_lane);
        const float factor = scale * log2_of_e;
        of_columns<float2>(note.log_sum,
                           [&](int i, float log_sum) { score[i] = exp2_approximate(score[i] * factor - log_sum); });
    }

    // In this tile's place in the ring: d_v += prob d_out, d_k += d_score q. The sums may not be done.
    __device__ void add(Sums& sums, const Own& own) {
        Tile score, d_prob;
        uint32_t prob[columns / 16][4], d_score[columns / 16][4];
        const Note& note = ring.note();
        dots<0>(score, own);
        wgmma_wait<1>();  // the last tile's sums are done, and their registers and slot are free
        ring.leave_held();
        dots<1>(d_prob, own);
        turns.pass();
        wgmma_wait<1>();  // the scores are there
        wgmma_done(score);
        probabilities(score, own, note);
        hopper_operand(prob, score);
        hopper_sum<HS, columns>(sums.d_value, prob, ring.matrix(1));
        wgmma_wait<1>();  // d_prob is there
        wgmma_done(d_prob);
        of_columns<float2>(note.delta, [&](int i, float delta) { score[i] *= d_prob[i] - delta; });
        hopper_operand(d_score, score);
        hopper_sum<HS, columns>(sums.d_key, d_score, ring.matrix(0));
        ring.hold();
    }

    __device__ void add_all(unsigned number) {
        Own own;
        load_own(own);
        own.s_group = AttentionHopperPlace(work, number, Shape::rows).start + 64 * group;
        Sums sums;
        const auto sees = [&](int t0) { return t0 + columns > own.s_group && own.s_group < work.at.T; };
        hopper_add_tiles(ring, turns, sees, [&] { add(sums, own); });
        wgmma_done(sums.d_key), wgmma_done(sums.d_value);
        ring.leave_held();
        leave_own();
        const AttentionHopperPlace place(work, opaque(number), Shape::rows);  // not kept in registers all the while
        bf16* const staging = shared.staging[row() / 16];
        hopper_store<HS>(d_qkv, staging, sums.d_key, scale, work.at.NH + place.head, place.start + row(), place.b);
        hopper_store<HS>(d_qkv, staging, sums.d_value, 1, work.at.NH + work.at.NKV + place.head, place.start + row(),
                         place.b);
    }
    __device__ void run() {
        hopper_all_blocks(work, turns, [&](unsigned number) { add_all(number); });
    }
};
#endif
