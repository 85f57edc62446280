// What a warpgroup of attention_hopper.cuh does with its 64 queries: products, probabilities, and what becomes of sums
// that grow too large.
//
// Softmax is the same whatever is subtracted from a row's scores, as long as nothing overflows. So a row's base is
// about the largest score of the first keys that it sees, and stays: there is no maximum to be found, no sum to shrink,
// and no product to wait for before. If then a sum becomes too large, the block does its work again with bases that
// follow the largest score in every step.
#pragma once
#include "attention_tensor.cuh"
#include "kernels/tools/ptx_hopper.cuh"
#include "kernels/tools/ring_turn.cuh"

// A tile of queries and the keys that these see.
struct AttentionHopperTile {
    int b, h, key_head, value_head;  // heads of qkv
    int t0, s0 = 0, steps = 0;       // the first query, the first key, tiles of keys: the last is that of t0
};

// n tiles of 128 rows of a head, which one thread fills and all warps of both groups read.
template <int HS, int n>
struct AttentionRing {
    alignas(1024) bf16 tiles[n][128 * HS];
    AsyncBarrier full[n], empty[n];
};

template <int HS>
struct AttentionHopper {
    static constexpr bool walks = HS > 64;
    static constexpr int blocks = walks ? 1 : 2, threads = (2 + walks) * 128, group_rows = 64, rows = 128;
    static constexpr int query_tiles = walks ? 2 : 1, stages = 5;  // of keys or of values
    static constexpr int ahead = stages - 2;  // of the group that copies: the other one may be a little behind
    static constexpr int copying = 40, multiplying = 232;  // registers: what 168 for all threads come to
    struct Shared {
        AttentionRing<HS, query_tiles> queries;
        AttentionRing<HS, stages> pairs;
        AttentionHopperTile tile;  // of a block with one, whose threads have no registers for it
        bool overflows[threads];   // a thread's own: whether a sum of its became too large
    };
    static constexpr size_t bytes = sizeof(Shared);
    static_assert(blocks_by_shared(90, bytes) >= blocks && HS % 64 == 0);
};

#if HOPPER
template <int HS, int n>
__device__ void ring_init(AttentionRing<HS, n>& ring) {  // by one thread
    for (int i = 0; i < n; i++) barrier_init(&ring.full[i], 1), barrier_init(&ring.empty[i], 2 * 4);
}

// Whether all is done once more: where any thread's sum became too large. Every thread of the block asks, at its own
// place.
struct Again {
    bool now = false;
    __device__ bool asks(bool& overflows) { return now = __syncthreads_or(std::exchange(overflows, false)) && !now; }
};

// f(register, row's half, column) of what a lane has of 64 x 2 n.
template <int n, class F>
__device__ void of_registers(F f) {
    UNROLL
    for (int i = 0; i < n; i++) f(i, i / 2 % 2, i / 4 * 8 + i % 2);
}

// Softmax of a lane's two rows: exponents are score * factor - base, to the base 2.
struct HopperSoftmax {
    static constexpr float growth = 8, most = 1.2089258e24f;  // 2^80
    float factor, base[2] = {-INFINITY, -INFINITY}, total[2] = {};

    // The bases follow the largest scores, and what was summed under the old ones shrinks; not for what is harmless.
    template <int n, int m>
    __device__ void follow(const float (&score)[n], float (&sum)[m]) {
        float high[2] = {-INFINITY, -INFINITY};
        of_registers<n>([&](int i, int half, int) { high[half] = fmaxf(high[half], score[i]); });
        for (int half = 0; half < 2; half++) {
            high[half] = fmaxf(high[half], __shfl_xor_sync(~0u, high[half], 1));
            high[half] = fmaxf(high[half], __shfl_xor_sync(~0u, high[half], 2)) * factor;
        }
        if (!__any_sync(~0u, high[0] > base[0] + growth || high[1] > base[1] + growth)) return;
        float shrink[2];
        for (int half = 0; half < 2; half++) {
            const float higher = fmaxf(base[half], high[half]);
            shrink[half] = higher == -INFINITY ? 1 : exp2_approximate(base[half] - higher);
            base[half] = higher, total[half] *= shrink[half];
        }
        of_registers<m>([&](int i, int half, int) { sum[i] *= shrink[half]; });
    }

    template <int n>
    __device__ void exponentials(float (&score)[n]) {
        float part[2][2] = {}, minus[2];  // two sums a row: shorter chains
        for (int half = 0; half < 2; half++)
            minus[half] = base[half] == -INFINITY ? 0 : -base[half];  // saw nothing yet
        of_registers<n>([&](int i, int half, int) {
            score[i] = exp2_approximate(score[i] * factor + minus[half]);
            part[half][i % 2] += score[i];
        });
        for (int half = 0; half < 2; half++) total[half] += part[half][0] + part[half][1];
    }

    __device__ bool overflows() const { return !(total[0] <= most && total[1] <= most); }
    __device__ float whole(int half) const {  // of the row, for all of its lanes
        const float x = total[half] + __shfl_xor_sync(~0u, total[half], 1);
        return x + __shfl_xor_sync(~0u, x, 2);
    }
};

// Of four lanes, each with a word of four vectors: each gets a vector.
__device__ inline void quad_transpose(uint32_t (&word)[4]) {
    UNROLL
    for (int step = 1; step <= 2; step *= 2) {
        const bool high = threadIdx.x & step;
        UNROLL
        for (int i = 0; i < 4; i++) {
            if (i & step) continue;
            const uint32_t got = __shfl_xor_sync(~0u, high ? word[i] : word[i + step], step);
            if (high) word[i] = got;
            else word[i + step] = got;
        }
    }
}

template <int HS>
struct AttentionHopperGroup {
    using Shape = AttentionHopper<HS>;
    static constexpr int keys = Shape::rows;
    using Scores = float[keys / 2];                // and then probabilities
    using Probabilities = uint32_t[keys / 16][4];  // rounded
    using Sums = float[HS / 2];
    struct Work {  // on a tile of queries
        HopperSoftmax softmax;
        int latest;  // the first key that the group's last row sees
    };
    typename Shape::Shared& shared;
    const AttentionHead& at;
    const int* first;
    bf16* out;
    float* lse;
    float factor;
    int group;  // 0 or 1
    RingTurn<Shape::query_tiles> query = {};
    RingTurn<Shape::stages> pair = {};

    // A lane's rows, the first and the last of the group's, and the first keys that they see.
    __device__ int row0(const AttentionHopperTile& tile) const { return tile.t0 + group * Shape::group_rows; }
    __device__ int row(const AttentionHopperTile& tile, int half) const {
        const int warp = threadIdx.x / warp_size % 4, lane = threadIdx.x % warp_size;
        return row0(tile) + warp * 16 + lane / 4 + 8 * half;
    }
    __device__ int first_key(const AttentionHopperTile& tile, int t) const {
        return first ? first[at.token(tile.b, std::min(t, at.T - 1))] : 0;
    }

    // ---- Shared memory: an item is a tile of keys or of values ----
    __device__ void arrive() const { barrier_wait(&shared.pairs.full[pair.slot], pair.parity); }
    template <int n>
    __device__ static void leave(AttentionRing<HS, n>& ring, const RingTurn<n>& turn) {
        if (threadIdx.x % warp_size == 0) barrier_arrive(&ring.empty[turn.slot]);
    }
    __device__ void leave() { leave(shared.pairs, pair), pair.next(); }
    __device__ void leave_queries() { leave(shared.queries, query), query.next(); }

    // ---- Products: they begin, and are done after a wait ----
    __device__ void multiply_scores(Scores& score) const {
        const uint64_t q = matrix_descriptor(shared.queries.tiles[query.slot] + group * Shape::group_rows * 64, 0,
                                             1024),
                       k = matrix_descriptor(shared.pairs.tiles[pair.slot], 0, 1024);
        constexpr int panel = Shape::rows * 64 * sizeof(bf16);
        wgmma_fence();
        UNROLL
        for (int i = 0; i < HS / 16; i++) {
            const int place = i / 4 * panel + i % 4 * 32;
            wgmma(score, descriptor_at(q, place), descriptor_at(k, place), i > 0);
        }
        wgmma_commit();
    }
    __device__ void multiply_values(Sums& sum, const Probabilities& prob) const {
        const uint64_t v = matrix_descriptor(shared.pairs.tiles[pair.slot], keys * 128, 1024);
        wgmma_fence();
        UNROLL
        for (int i = 0; i < keys / 16; i++) wgmma<Major::across>(sum, prob[i], descriptor_at(v, i * 16 * 128), true);
        wgmma_commit();
    }
    template <int n>
    __device__ static void wait_for_all(float (&d)[n]) {
        wgmma_wait<0>();
        wgmma_done(d);
    }

    // ---- Scores to probabilities (not yet divided) ----
    __device__ void mask(Scores& score, const AttentionHopperTile& tile, int s0) const {
        const int column = s0 + threadIdx.x % 4 * 2, t[2] = {row(tile, 0), row(tile, 1)};
        const int high[2] = {t[0] - column, t[1] - column},
                  low[2] = {first_key(tile, t[0]) - column, first_key(tile, t[1]) - column};
        of_registers<keys / 2>([&](int i, int half, int c) {
            if (c > high[half] || c < low[half]) score[i] = -INFINITY;
        });
    }
    __device__ void probabilities(Scores& score, Sums& sum, Work& work, const AttentionHopperTile& tile, int step,
                                  Again again) const {
        const int s0 = tile.s0 + step * keys;
        if (step == tile.steps - 1 || s0 < work.latest) mask(score, tile, s0);
        if (s0 <= work.latest || again.now) {  // some row sees its first keys
            wait_for_all(sum);
            work.softmax.follow(score, sum);
        }
        work.softmax.exponentials(score);
        // Memory keeps the compiler from moving all of this behind the next wait, as nothing else needs it before.
        if (work.softmax.overflows()) shared.overflows[threadIdx.x] = true;
    }
    __device__ static void round(Probabilities& prob, const Scores& score) {
        UNROLL
        for (int i = 0; i < keys / 4; i++) prob[i / 4][i % 4] = pack_bf16(score[2 * i], score[2 * i + 1]);
    }

    __device__ void write(const Sums& sum, const HopperSoftmax& softmax, const AttentionHopperTile& tile) const {
        const int quad = threadIdx.x % 4;
        for (int half = 0; half < 2; half++) {
            const float total = softmax.whole(half), share = 1 / total;
            const int t = row(tile, half);
            if (quad == 0 && t < at.T)
                lse[at.lse(tile.b, tile.h, t)] = softmax.base[half] * 0.6931471805599453f + logf(total);
            bf16* const to = out + at.out(tile.b, t, tile.h);
            UNROLL
            for (int j = 0; j < HS / 8; j += 4) {
                uint32_t word[4];
                UNROLL
                for (int i = 0; i < 4; i++) {
                    const int r = (j + i) * 4 + 2 * half;
                    word[i] = pack_bf16(sum[r] * share, sum[r + 1] * share);
                }
                quad_transpose(word);
                if (t < at.T) *reinterpret_cast<uint4*>(to + (j + quad) * 8) = {word[0], word[1], word[2], word[3]};
            }
        }
    }

    // ---- A tile of queries ----
    __device__ Work begin(const AttentionHopperTile& tile) const {
        barrier_wait(&shared.queries.full[query.slot], query.parity);
        return {{factor}, first_key(tile, row0(tile) + Shape::group_rows - 1)};
    }
    // One thing after the other; done(item) after each item.
    template <class Done>
    __device__ void in_order(const AttentionHopperTile& tile, Again again, Done done) {
        Work work = begin(tile);
        Sums sum = {};
        for (int step = 0; step < tile.steps; step++) {
            Scores score;
            Probabilities prob;
            arrive();
            multiply_scores(score);
            wait_for_all(score);
            leave(), done(2 * step);
            probabilities(score, sum, work, tile, step, again);
            round(prob, score);
            arrive();
            multiply_values(sum, prob);
            wait_for_all(sum);
            leave(), done(2 * step + 1);
        }
        leave_queries();
        write(sum, work.softmax, tile);
    }

    // The last step's products of values run while probabilities are made.
    __device__ void overlapped(const AttentionHopperTile& tile, Again again) {
        Work work = begin(tile);
        Scores score;
        Sums sum = {};
        Probabilities prob;
        arrive();
        multiply_scores(score);
        wait_for_all(score);
        leave();
        probabilities(score, sum, work, tile, 0, again);
        round(prob, score);
        for (int step = 1; step < tile.steps; step++) {
            arrive();
            take_turn();
            multiply_scores(score);
            const auto keys_at = pair;
            pair.next();
            arrive();
            multiply_values(sum, prob);
            end_turn();
            wgmma_wait<1>();
            wgmma_done(score);
            leave(shared.pairs, keys_at);
            probabilities(score, sum, work, tile, step, again);
            wait_for_all(sum);
            leave();
            round(prob, score);
        }
        leave_queries();
        arrive();
        multiply_values(sum, prob);
        wait_for_all(sum);
        leave();
        write(sum, work.softmax, tile);
    }

    // Who gives the tensor cores work; named barrier 1 + g tells group g that it may. The first turn is group 0's, and
    // what it is told after its last is nobody's.
    __device__ void take_turn() const { named_barrier_sync(1 + group, 2 * 128); }
    __device__ void end_turn() const { named_barrier_arrive(1 + (group ^ 1), 2 * 128); }
    __device__ void begin_turns() const {
        if (group == 1) end_turn();
    }
    __device__ void end_turns() const {
        if (group == 0) take_turn();
    }
};
#endif
