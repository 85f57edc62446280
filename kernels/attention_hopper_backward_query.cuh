// Attention backward on Hopper, a computing warpgroup on the side of the queries: delta and d_q. See
// attention_hopper_backward.cuh.
#pragma once
#include "attention_hopper_backward_group.cuh"

#if HOPPER
template <int HS>
struct AttentionHopperQueries {
    using Shape = AttentionHopperBackward<HS, Owns::queries>;
    static constexpr int columns = Shape::columns;
    // Of the group's 64 rows.
    struct Own {
        int t_group;  // the first
        uint32_t query[HS / 16][4], d_out[HS / 16][4];
        float log_sum[2], delta[2] = {};  // of the lane's two rows
        int from[2];                      // the first keys that they see
        int earliest, latest;             // that the first row sees, and the last
    };
    using Tile = float[columns / 2];

    const TensorMap& d_qkv;
    float* delta;
    const AttentionHopperWork& work;
    float scale;
    int group;  // 0 or 1
    typename Shape::Shared& shared;
    AttentionHopperRing<Shape> ring{shared};
    const AttentionHopperTurns turns{group};

    // The warp's first row in the block, and the lane's in the warp, of half 0 or 1.
    __device__ int row() const { return 64 * group + threadIdx.x / warp_size % 4 * 16; }
    __device__ static int row(int half) { return 8 * half + threadIdx.x % warp_size / 4; }

    __device__ void load_own(Own& own) {
        const int r = row() % columns;
        UNROLL
        for (int i = 0; i < Shape::own_slots; i++) {
            ring.wait();
            if (i == 64 * group / columns) {
                const auto& note = ring.note();
                hopper_load<HS>(own.query, ring.matrix(0), columns, r);
                hopper_load<HS>(own.d_out, ring.matrix(1), columns, r);
                for (int half = 0; half < 2; half++)
                    own.log_sum[half] = note.log_sum[r + row(half)], own.from[half] = note.first[r + row(half)];
                own.earliest = note.first[r / 64 * 64], own.latest = note.first[r / 64 * 64 + 63];
            }
            ring.leave();
        }
    }
    // delta = d_out . out, also for the side of the keys.
    __device__ void make_delta(Own& own, const AttentionHopperPlace& place) {
        uint32_t out[HS / 16][4];
        ring.wait();
        hopper_load<HS>(out, ring.matrix(row() / columns), columns, row() % columns);
        UNROLL
        for (int i = 0; i < HS / 4; i++) {
            const uint32_t x = out[i / 4][i % 4], y = own.d_out[i / 4][i % 4];
            own.delta[i % 2] += __uint_as_float(x << 16) * __uint_as_float(y << 16) +
                                __uint_as_float(x & 0xffff0000u) * __uint_as_float(y & 0xffff0000u);
        }
        ring.leave();
        for (int half = 0; half < 2; half++) {
            own.delta[half] += __shfl_xor_sync(~0u, own.delta[half], 1);
            own.delta[half] += __shfl_xor_sync(~0u, own.delta[half], 2);
            const int t = place.start + row() + row(half);
            if (threadIdx.x % 4 == 0 && t < work.at.T) delta[work.at.lse(place.b, place.head, t)] = own.delta[half];
        }
    }

    // Whether any of the group's queries sees any of these keys.
    __device__ bool sees(const Own& own, int s0) const {
        return s0 < own.t_group + 64 && s0 + columns > own.earliest && own.t_group < work.at.T;
    }
    // Scores become probabilities.
    __device__ void probabilities(Tile& score, const Own& own, int s0) const {
        if (s0 + columns > own.t_group + 1 || s0 < own.latest) {
            UNROLL
            for (int i = 0; i < columns / 2; i++) {
                const int s = s0 + i / 4 * 8 + threadIdx.x % 4 * 2 + i % 2, half = i / 2 % 2;
                const int t = own.t_group - 64 * group + row() + row(half);
                if ((s > t) | (s < own.from[half])) score[i] = -INFINITY;
            }
        }
        const float factor = scale * log2_of_e;
        UNROLL
        for (int i = 0; i < columns / 2; i++) score[i] = exp2_approximate(score[i] * factor - own.log_sum[i / 2 % 2]);
    }

    // In this tile's place in the ring: d_q += d_score k. The sum may not be done.
    __device__ void add(float (&sum)[HS / 2], const Own& own) {
        Tile score, d_prob;
        uint32_t d_score[columns / 16][4];
        hopper_dots<HS, columns>(score, own.query, ring.matrix(0));
        wgmma_wait<1>();  // the last tile's sum is done, and its registers and slot are free
        ring.leave_held();
        hopper_dots<HS, columns>(d_prob, own.d_out, ring.matrix(1));
        turns.pass();
        wgmma_wait<1>();  // the scores are there
        wgmma_done(score);
        probabilities(score, own, ring.note().start);
        wgmma_wait<0>();
        wgmma_done(d_prob);
        UNROLL
        for (int i = 0; i < columns / 2; i++) score[i] *= d_prob[i] - own.delta[i / 2 % 2];
        hopper_operand(d_score, score);
        hopper_sum<HS, columns>(sum, d_score, ring.matrix(0));
        ring.hold();
    }

    __device__ void add_all(unsigned number) {
        Own own;
        load_own(own);
        make_delta(own, AttentionHopperPlace(work, number, Shape::rows));
        own.t_group = AttentionHopperPlace(work, number, Shape::rows).start + 64 * group;
        float sum[HS / 2] = {};
        hopper_add_tiles(
            ring, turns, [&](int s0) { return sees(own, s0); }, [&] { add(sum, own); });
        wgmma_done(sum);
        ring.leave_held();
        const AttentionHopperPlace place(work, opaque(number), Shape::rows);  // not kept in registers all the while
        hopper_store<HS>(d_qkv, shared.staging[row() / 16], sum, scale, place.head, place.start + row(), place.b);
    }
    __device__ void run() {
        hopper_all_blocks(work, turns, [&](unsigned number) { add_all(number); });
    }
};
#endif
