// Attention backward on Hopper's warpgroup products: bf16 heads of 64 or 128 channels without dropout. The equations of
// attention.cuh.
//
// Two kernels, as in attention_tensor_backward.cuh: blocks own 128 queries and leave d_q and delta, or 128 keys and leave
// d_k and d_v. Both make tiles of scores whose rows are their own and whose columns are the other side's:
//
//   own queries:  score = q k^T   d_prob = d_out v^T   d_q += d_score k
//   own keys:     score = k q^T   d_prob = v d_out^T   d_v += prob d_out   d_k += d_score q
//
// so that probabilities and gradients of scores, in registers, are left operands of the next product. Of three
// warpgroups two compute, each with 64 of the rows; the first brings what they need, slot by slot of a ring. A block
// stays for many blocks of rows, of which the ring brings the next while the last is being stored.
#pragma once
#include "attention_hopper_deliveries.cuh"
#include "kernels/tools/tensor_map.cuh"

#if HOPPER
// ---- What a warpgroup computes: x[i] of a lane is row 8 (i / 2 % 2) + g of its warp, column 8 (i / 4) + 2 quad + i % 2 ----

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
    UNROLL
    for (int k = 0; k < HS / 16; k++)
        wgmma<Major::k>(d, a[k], descriptor_at(matrix, k / 4 * columns * 128 + k % 4 * 32), k > 0);
}
// The same, a in shared memory as b is.
template <int HS, int columns>
__device__ void hopper_dots(float (&d)[columns / 2], const bf16* a, const bf16* b) {
    const uint64_t left = matrix_descriptor(a, 16, 1024), right = matrix_descriptor(b, 16, 1024);
    UNROLL
    for (int k = 0; k < HS / 16; k++) {
        const int at = k / 4 * columns * 128 + k % 4 * 32;
        wgmma<Major::k, Major::k>(d, descriptor_at(left, at), descriptor_at(right, at), k > 0);
    }
}
// sum += a b, rows of b in shared memory.
template <int HS, int columns>
__device__ void hopper_sum(float (&sum)[HS / 2], const uint32_t (&a)[columns / 16][4], const bf16* b) {
    const uint64_t matrix = matrix_descriptor(b, columns * 128, 1024);
    UNROLL
    for (int k = 0; k < columns / 16; k++) wgmma<Major::across>(sum, a[k], descriptor_at(matrix, k * 2048), true);
}
template <int n>
__device__ void hopper_operand(uint32_t (&a)[n / 8][4], const float (&x)[n]) {
    UNROLL
    for (int i = 0; i < n / 2; i++) a[i / 4][i % 4] = pack_bf16(x[2 * i], x[2 * i + 1]);
}

// Of a warp's 16 rows of d_q, d_k or d_v, one panel at a time.
template <int HS>
__device__ void hopper_store(const TensorMap& map, bf16* staging, const float (&x)[HS / 2], float factor, int head, int t,
                             int b) {
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

// The ring, as a computing warp sees it.
template <class Shape>
struct AttentionHopperRing {
    typename Shape::Shared& shared;
    int slot = 0;
    unsigned phase = 0;
    __device__ void wait() const { barrier_wait(&shared.full[slot], phase); }
    __device__ const AttentionHopperNote<Shape::columns>& note() const { return shared.notes[slot]; }
    __device__ const bf16* matrix(int i) const { return shared.ring[slot][i]; }
    __device__ void release() const { release(slot); }
    __device__ void release_previous() const { release(slot ? slot - 1 : Shape::slots - 1); }
    __device__ void release(int which) const {
        __syncwarp();
        if (threadIdx.x % warp_size == 0) barrier_arrive(&shared.empty[which]);
    }
    __device__ void next() {
        if (++slot == Shape::slots) slot = 0, phase ^= 1;
    }
};

// The computing warpgroups begin their tiles in turn: while one waits for its products, the other makes probabilities.
template <bool turns>
struct AttentionHopperTurn {
    int group;  // 0 or 1
    __device__ void begin() const {
        if (turns && group == 1) named_barrier_arrive(1, 256);
    }
    __device__ void wait() const {
        if (turns) named_barrier_sync(1 + group, 256);
    }
    __device__ void pass() const {
        if (turns) named_barrier_arrive(2 - group, 256);
    }
    __device__ void end() const {
        if (turns && group == 0) named_barrier_sync(1, 256);
    }
};

template <class Shape>
__device__ void attention_hopper_queries(const TensorMap& d_qkv, float* delta, const AttentionHead& at, float scale,
                                         int group) {
    constexpr int HS = Shape::HS, columns = Shape::columns;
    auto& shared = *dynamic_shared<typename Shape::Shared>();
    AttentionHopperRing<Shape> ring{shared};
    const AttentionHopperTurn<Shape::turns> turn{group};
    const int warp = threadIdx.x / warp_size % 4, lane = threadIdx.x % warp_size, g = lane / 4, quad = lane % 4;
    const int row = 64 * group + 16 * warp;  // the warp's first, in the block
    const float factor = scale * log2_of_e;
    turn.begin();
    attention_hopper_blocks<Shape>(at, [&](unsigned block) {
        const int block_t = AttentionHopperPlace<Shape>(at, block).start;
        const int t_group = block_t + 64 * group, t_warp = block_t + row;
        uint32_t query[HS / 16][4], d_out[HS / 16][4];
        float log_sum[2], dot[2] = {};
        int from[2], earliest = 0, latest = 0;
        UNROLL
        for (int i = 0; i < Shape::own_slots; i++) {
            ring.wait();
            if (i == 64 * group / columns) {
                const int r = row % columns;
                hopper_load<HS>(query, ring.matrix(0), columns, r);
                hopper_load<HS>(d_out, ring.matrix(1), columns, r);
                for (int half = 0; half < 2; half++) {
                    log_sum[half] = ring.note().log_sum[r + 8 * half + g];
                    from[half] = ring.note().first[r + 8 * half + g];
                }
                earliest = ring.note().first[r / 64 * 64], latest = ring.note().first[r / 64 * 64 + 63];
            }
            ring.release();
            ring.next();
        }
        ring.wait();
        {
            uint32_t out[HS / 16][4];
            hopper_load<HS>(out, ring.matrix(row / columns), columns, row % columns);
            UNROLL
            for (int i = 0; i < HS / 4; i++) {
                const uint32_t x = out[i / 4][i % 4], y = d_out[i / 4][i % 4];
                dot[i % 2] += __uint_as_float(x << 16) * __uint_as_float(y << 16) +
                              __uint_as_float(x & 0xffff0000u) * __uint_as_float(y & 0xffff0000u);
            }
        }
        ring.release();
        ring.next();
        for (int half = 0; half < 2; half++) {
            dot[half] += __shfl_xor_sync(~0u, dot[half], 1);
            dot[half] += __shfl_xor_sync(~0u, dot[half], 2);
            const int t = t_warp + 8 * half + g;
            const AttentionHopperPlace<Shape> place(at, block);
            if (quad == 0 && t < at.T) delta[at.lse(place.b, place.head, t)] = dot[half];
        }

        float sum[HS / 2] = {}, score[columns / 2], d_score[columns / 2];
        uint32_t operand[columns / 16][4];
        bool holds = false;  // the slot before this one
        int last;
        do {
            ring.wait();
            last = ring.note().last;
            const int s0 = ring.note().start;
            turn.wait();
            if (s0 > t_group + 63 || s0 + columns <= earliest || t_group >= at.T) {  // none of the group sees these keys
                turn.pass();
                wgmma_wait<0>();
                if (holds) ring.release_previous(), holds = false;
                ring.release();
                ring.next();
                continue;
            }
            wgmma_fence();
            hopper_dots<HS, columns>(score, query, ring.matrix(0));
            wgmma_commit();
            wgmma_wait<1>();  // what came before them is done, and its registers free
            if (holds) ring.release_previous();
            wgmma_fence();
            hopper_dots<HS, columns>(d_score, d_out, ring.matrix(1));
            wgmma_commit();
            turn.pass();
            wgmma_wait<1>();  // the scores are there
            wgmma_done(score);
            if (s0 + columns > t_group + 1 || s0 < latest) {
                UNROLL
                for (int i = 0; i < columns / 2; i++) {
                    const int s = s0 + i / 4 * 8 + 2 * quad + i % 2, half = i / 2 % 2;
                    if ((s > t_warp + 8 * half + g) | (s < from[half])) score[i] = -INFINITY;
                }
            }
            UNROLL
            for (int i = 0; i < columns / 2; i++) score[i] = exp2_approximate(score[i] * factor - log_sum[i / 2 % 2]);
            wgmma_wait<0>();
            wgmma_done(d_score);
            UNROLL
            for (int i = 0; i < columns / 2; i++) score[i] *= d_score[i] - dot[i / 2 % 2];
            hopper_operand(operand, score);
            wgmma_fence();
            hopper_sum<HS, columns>(sum, operand, ring.matrix(0));
            wgmma_commit();
            holds = true;
            ring.next();
        } while (!last);
        wgmma_wait<0>();
        wgmma_done(sum);
        if (holds) ring.release_previous();
        const AttentionHopperPlace<Shape> place(at, opaque(block));
        hopper_store<HS>(d_qkv, shared.staging[row / 16], sum, scale, place.head, place.start + row, place.b);
    });
    turn.end();
    if (lane == 0) tensor_store_wait<0>();
}

template <class Shape>
__device__ void attention_hopper_keys(const TensorMap& d_qkv, const AttentionHead& at, float scale, int group) {
    constexpr int HS = Shape::HS, columns = Shape::columns;
    auto& shared = *dynamic_shared<typename Shape::Shared>();
    AttentionHopperRing<Shape> ring{shared};
    const AttentionHopperTurn<Shape::turns> turn{group};
    const int warp = threadIdx.x / warp_size % 4, lane = threadIdx.x % warp_size, g = lane / 4, quad = lane % 4;
    const int row = 64 * group + 16 * warp;  // the warp's first, in the block
    const float factor = scale * log2_of_e;
    [[maybe_unused]] unsigned own_phase = 0;
    turn.begin();
    attention_hopper_blocks<Shape>(at, [&](unsigned block) {
        const int block_s = AttentionHopperPlace<Shape>(at, block).start;
        const int s_group = block_s + 64 * group, s_warp = block_s + row;
        [[maybe_unused]] uint32_t key[HS / 16][4], value[HS / 16][4];
        if constexpr (Shape::keeps) {
            UNROLL
            for (int i = 0; i < Shape::own_slots; i++) {
                ring.wait();
                if (i == 64 * group / columns) {
                    hopper_load<HS>(key, ring.matrix(0), columns, row % columns);
                    hopper_load<HS>(value, ring.matrix(1), columns, row % columns);
                }
                ring.release();
                ring.next();
            }
        } else {
            barrier_wait(&shared.own_full, own_phase);
            own_phase ^= 1;
        }
        const int own_place = 64 * group / columns * columns * HS + 64 * group % columns * 64;

        float d_key[HS / 2] = {}, d_value[HS / 2] = {}, score[columns / 2], d_score[columns / 2];
        uint32_t prob[columns / 16][4], operand[columns / 16][4];
        bool holds = false;  // the slot before this one
        int last;
        do {
            ring.wait();
            const auto& note = ring.note();
            last = note.last;
            const int t0 = note.start;
            turn.wait();
            if (t0 + columns <= s_group || s_group >= at.T) {  // none of these queries sees a key of the group
                turn.pass();
                wgmma_wait<0>();
                if (holds) ring.release_previous(), holds = false;
                ring.release();
                ring.next();
                continue;
            }
            wgmma_fence();
            if constexpr (Shape::keeps) hopper_dots<HS, columns>(score, key, ring.matrix(0));
            else hopper_dots<HS, columns>(score, shared.own[0] + own_place, ring.matrix(0));
            wgmma_commit();
            wgmma_wait<1>();  // what came before them is done, and its registers free
            if (holds) ring.release_previous();
            wgmma_fence();
            if constexpr (Shape::keeps) hopper_dots<HS, columns>(d_score, value, ring.matrix(1));
            else hopper_dots<HS, columns>(d_score, shared.own[1] + own_place, ring.matrix(1));
            wgmma_commit();
            turn.pass();
            wgmma_wait<1>();  // the scores are there
            wgmma_done(score);
            if (t0 < s_group + 63 || note.first[columns - 1] > s_group) {
                UNROLL
                for (int j = 0; j < columns / 8; j++) {
                    const int2 from = *reinterpret_cast<const int2*>(note.first + 8 * j + 2 * quad);
                    const int last_key = t0 + 8 * j + 2 * quad - s_warp - g;  // of the first column, from the lane's row on
                    for (int c = 0; c < 4; c++) {
                        const int beyond = 8 * (c / 2) - c % 2, from_c = (c % 2 ? from.y : from.x) - s_warp - g;
                        if ((beyond > last_key) | (8 * (c / 2) < from_c)) score[4 * j + c] = -INFINITY;
                    }
                }
            }
            UNROLL
            for (int j = 0; j < columns / 8; j++) {
                const float2 log_sum = *reinterpret_cast<const float2*>(note.log_sum + 8 * j + 2 * quad);
                for (int c = 0; c < 4; c++)
                    score[4 * j + c] = exp2_approximate(score[4 * j + c] * factor - (c % 2 ? log_sum.y : log_sum.x));
            }
            hopper_operand(prob, score);
            wgmma_fence();
            hopper_sum<HS, columns>(d_value, prob, ring.matrix(1));
            wgmma_commit();
            wgmma_wait<1>();  // d_prob is there
            wgmma_done(d_score);
            UNROLL
            for (int j = 0; j < columns / 8; j++) {
                const float2 dot = *reinterpret_cast<const float2*>(note.delta + 8 * j + 2 * quad);
                for (int c = 0; c < 4; c++) score[4 * j + c] *= d_score[4 * j + c] - (c % 2 ? dot.y : dot.x);
            }
            hopper_operand(operand, score);
            wgmma_fence();
            hopper_sum<HS, columns>(d_key, operand, ring.matrix(0));
            wgmma_commit();
            holds = true;
            ring.next();
        } while (!last);
        wgmma_wait<0>();
        wgmma_done(d_key), wgmma_done(d_value);
        if (holds) ring.release_previous();
        if constexpr (!Shape::keeps) {
            __syncwarp();
            if (lane == 0) barrier_arrive(&shared.own_empty);
        }
        bf16* const staging = shared.staging[row / 16];
        const AttentionHopperPlace<Shape> place(at, opaque(block));
        hopper_store<HS>(d_qkv, staging, d_key, scale, at.NH + place.head, place.start + row, place.b);
        hopper_store<HS>(d_qkv, staging, d_value, 1, at.NH + at.NKV + place.head, place.start + row, place.b);
    });
    turn.end();
    if (lane == 0) tensor_store_wait<0>();
}


// The next tile that the group sees; false after the last. Those it does not see are passed over.
template <class Shape>
struct AttentionHopperTiles {
    AttentionHopperRing<Shape>& ring;
    bool ended = false;
    template <class Sees>
    __device__ bool next(Sees sees) {
        while (!ended) {
            ring.wait();
            ended = ring.note().last;
            if (sees(ring.note().start)) return true;
            ring.release();
            ring.next();
        }
        return false;
    }
};

template <class Shape>
__device__ void attention_hopper_queries_ahead(const TensorMap& d_qkv, float* delta, const AttentionHead& at, float scale,
                                               int group) {
    constexpr int HS = Shape::HS, columns = Shape::columns;
    auto& shared = *dynamic_shared<typename Shape::Shared>();
    AttentionHopperRing<Shape> ring{shared};
    const int warp = threadIdx.x / warp_size % 4, lane = threadIdx.x % warp_size, g = lane / 4, quad = lane % 4;
    const int row = 64 * group + 16 * warp;  // the warp's first, in the block
    const float factor = scale * log2_of_e;
    attention_hopper_blocks<Shape>(at, [&](unsigned block) {
        const int block_t = AttentionHopperPlace<Shape>(at, block).start;
        const int t_group = block_t + 64 * group, t_warp = block_t + row;
        uint32_t query[HS / 16][4], d_out[HS / 16][4];
        float log_sum[2], dot[2] = {};
        int from[2], earliest = 0, latest = 0;
        UNROLL
        for (int i = 0; i < Shape::own_slots; i++) {
            ring.wait();
            if (i == 64 * group / columns) {
                const int r = row % columns;
                hopper_load<HS>(query, ring.matrix(0), columns, r);
                hopper_load<HS>(d_out, ring.matrix(1), columns, r);
                for (int half = 0; half < 2; half++) {
                    log_sum[half] = ring.note().log_sum[r + 8 * half + g];
                    from[half] = ring.note().first[r + 8 * half + g];
                }
                earliest = ring.note().first[r / 64 * 64], latest = ring.note().first[r / 64 * 64 + 63];
            }
            ring.release();
            ring.next();
        }
        ring.wait();
        {
            uint32_t out[HS / 16][4];
            hopper_load<HS>(out, ring.matrix(row / columns), columns, row % columns);
            UNROLL
            for (int i = 0; i < HS / 4; i++) {
                const uint32_t x = out[i / 4][i % 4], y = d_out[i / 4][i % 4];
                dot[i % 2] += __uint_as_float(x << 16) * __uint_as_float(y << 16) +
                              __uint_as_float(x & 0xffff0000u) * __uint_as_float(y & 0xffff0000u);
            }
        }
        ring.release();
        ring.next();
        for (int half = 0; half < 2; half++) {
            dot[half] += __shfl_xor_sync(~0u, dot[half], 1);
            dot[half] += __shfl_xor_sync(~0u, dot[half], 2);
            const int t = t_warp + 8 * half + g;
            const AttentionHopperPlace<Shape> place(at, block);
            if (quad == 0 && t < at.T) delta[at.lse(place.b, place.head, t)] = dot[half];
        }

        float sum[HS / 2] = {}, score[columns / 2], d_score[columns / 2], x[columns / 2], y[columns / 2];
        uint32_t operand[columns / 16][4];
        wgmma_done(sum);  // is zero before the first product begins
        AttentionHopperTiles<Shape> tiles{ring};
        const auto sees = [&](int s0) { return s0 <= t_group + 63 && s0 + columns > earliest && t_group < at.T; };
        int held = -1, slot = 0, s0 = 0;  // slots of the tile before this one, and of this one
        const auto begin = [&] {
            wgmma_fence();
            hopper_dots<HS, columns>(score, query, ring.matrix(0));
            hopper_dots<HS, columns>(d_score, d_out, ring.matrix(1));
            wgmma_commit();
        };
        // The tile's products, so that the next may take their place.
        const auto take = [&](int sums) {
            if (sums) wgmma_wait<1>();  // but for d_q's last sum
            else wgmma_wait<0>();
            wgmma_done(score), wgmma_done(d_score);
            UNROLL
            for (int i = 0; i < columns / 2; i++) {
                x[i] = score[i] * factor - log_sum[i / 2 % 2];
                y[i] = d_score[i] - dot[i / 2 % 2];
            }
            wgmma_done(x), wgmma_done(y);
            slot = ring.slot, s0 = ring.note().start;
            ring.next();
        };
        const auto add = [&](bool more) {
            if (s0 + columns > t_group + 1 || s0 < latest) {
                UNROLL
                for (int i = 0; i < columns / 2; i++) {
                    const int s = s0 + i / 4 * 8 + 2 * quad + i % 2, half = i / 2 % 2;
                    if ((s > t_warp + 8 * half + g) | (s < from[half])) x[i] = -INFINITY;
                }
            }
            UNROLL
            for (int i = 0; i < columns / 2; i++) x[i] = exp2_approximate(x[i]) * y[i];
            if (more) wgmma_wait<1>();  // d_q's last sum is done
            else wgmma_wait<0>();
            if (held >= 0) ring.release(held);
            hopper_operand(operand, x);
            wgmma_fence();
            hopper_sum<HS, columns>(sum, operand, shared.ring[slot][0]);
            wgmma_commit();
            held = slot;
        };
        if (tiles.next(sees)) {
            begin();
            take(0);
            while (tiles.next(sees)) {
                begin();
                add(true);
                take(1);
            }
            add(false);
        }
        wgmma_wait<0>();
        wgmma_done(sum);
        if (held >= 0) ring.release(held);
        const AttentionHopperPlace<Shape> place(at, opaque(block));
        hopper_store<HS>(d_qkv, shared.staging[row / 16], sum, scale, place.head, place.start + row, place.b);
    });
    if (lane == 0) tensor_store_wait<0>();
}

template <class Shape>
__device__ void attention_hopper_keys_ahead(const TensorMap& d_qkv, const AttentionHead& at, float scale, int group) {
    constexpr int HS = Shape::HS, columns = Shape::columns;
    auto& shared = *dynamic_shared<typename Shape::Shared>();
    AttentionHopperRing<Shape> ring{shared};
    const int warp = threadIdx.x / warp_size % 4, lane = threadIdx.x % warp_size, g = lane / 4, quad = lane % 4;
    const int row = 64 * group + 16 * warp;  // the warp's first, in the block
    const float factor = scale * log2_of_e;
    attention_hopper_blocks<Shape>(at, [&](unsigned block) {
        const int s_group = AttentionHopperPlace<Shape>(at, block).start + 64 * group;
        uint32_t key[HS / 16][4], value[HS / 16][4];
        UNROLL
        for (int i = 0; i < Shape::own_slots; i++) {
            ring.wait();
            if (i == 64 * group / columns) {
                hopper_load<HS>(key, ring.matrix(0), columns, row % columns);
                hopper_load<HS>(value, ring.matrix(1), columns, row % columns);
            }
            ring.release();
            ring.next();
        }
        float d_key[HS / 2] = {}, d_value[HS / 2] = {}, score[columns / 2], d_score[columns / 2], x[columns / 2];
        uint32_t prob[columns / 16][4], operand[columns / 16][4];
        wgmma_done(d_key), wgmma_done(d_value);  // are zero before the first product begins
        AttentionHopperTiles<Shape> tiles{ring};
        const auto sees = [&](int t0) { return t0 + columns > s_group && s_group < at.T; };
        int slot = 0, held = -1;
        const auto begin = [&] {
            wgmma_fence();
            hopper_dots<HS, columns>(score, key, ring.matrix(0));
            wgmma_commit();
        };
        // d_prob begins; the scores' place becomes free.
        const auto take = [&](int sums) {
            slot = ring.slot;
            ring.next();
            const auto& note = shared.notes[slot];
            wgmma_fence();
            hopper_dots<HS, columns>(d_score, value, shared.ring[slot][1]);
            wgmma_commit();
            if (sums) wgmma_wait<2>();  // d_k's last sum and d_prob may not be there
            else wgmma_wait<1>();
            wgmma_done(score);
            UNROLL
            for (int j = 0; j < columns / 8; j++) {
                const float2 log_sum = *reinterpret_cast<const float2*>(note.log_sum + 8 * j + 2 * quad);
                for (int c = 0; c < 4; c++) x[4 * j + c] = score[4 * j + c] * factor - (c % 2 ? log_sum.y : log_sum.x);
            }
            wgmma_done(x);
        };
        const auto add = [&](bool more) {
            const auto& note = shared.notes[slot];
            const int t0 = note.start;
            if (t0 < s_group + 63 || note.first[columns - 1] > s_group) {
                UNROLL
                for (int j = 0; j < columns / 8; j++) {
                    const int2 from = *reinterpret_cast<const int2*>(note.first + 8 * j + 2 * quad);
                    const int s = s_group + 16 * warp + g, last_key = t0 + 8 * j + 2 * quad - s;
                    for (int c = 0; c < 4; c++) {
                        const int beyond = 8 * (c / 2) - c % 2, from_c = (c % 2 ? from.y : from.x) - s;
                        if ((beyond > last_key) | (8 * (c / 2) < from_c)) x[4 * j + c] = -INFINITY;
                    }
                }
            }
            UNROLL
            for (int i = 0; i < columns / 2; i++) x[i] = exp2_approximate(x[i]);
            hopper_operand(prob, x);
            wgmma_fence();
            hopper_sum<HS, columns>(d_value, prob, shared.ring[slot][1]);
            wgmma_commit();
            if (more) wgmma_wait<2>();  // d_k's last sum and d_prob are there
            else wgmma_wait<1>();
            wgmma_done(d_score);
            if (held >= 0) ring.release(held);
            UNROLL
            for (int j = 0; j < columns / 8; j++) {
                const float2 dot = *reinterpret_cast<const float2*>(note.delta + 8 * j + 2 * quad);
                for (int c = 0; c < 4; c++) x[4 * j + c] *= d_score[4 * j + c] - (c % 2 ? dot.y : dot.x);
            }
            hopper_operand(operand, x);
            wgmma_fence();
            hopper_sum<HS, columns>(d_key, operand, shared.ring[slot][0]);
            wgmma_commit();
            held = slot;
        };
        if (tiles.next(sees)) {
            begin();
            take(0);
            while (tiles.next(sees)) {
                begin();
                add(true);
                take(1);
            }
            add(false);
        }
        wgmma_wait<0>();
        wgmma_done(d_key), wgmma_done(d_value);
        if (held >= 0) ring.release(held);
        bf16* const staging = shared.staging[row / 16];
        const AttentionHopperPlace<Shape> place(at, opaque(block));
        hopper_store<HS>(d_qkv, staging, d_key, scale, at.NH + place.head, place.start + row, place.b);
        hopper_store<HS>(d_qkv, staging, d_value, 1, at.NH + at.NKV + place.head, place.start + row, place.b);
    });
    if (lane == 0) tensor_store_wait<0>();
}
#endif

// d_qkv: boxes of 16 tokens; the others: of Shape::columns.
template <class Shape>
__global__ void __launch_bounds__(Shape::threads, 1)
    attention_hopper_backward_kernel(const __grid_constant__ TensorMap d_qkv, const __grid_constant__ TensorMap qkv,
                                     const __grid_constant__ TensorMap d_out, const __grid_constant__ TensorMap out,
                                     float* delta, const float* lse, const int* first, AttentionHead at, float scale) {
#if HOPPER
    auto& shared = *dynamic_shared<typename Shape::Shared>();
    if (threadIdx.x == 0) {
        for (int i = 0; i < Shape::slots; i++)
            barrier_init(&shared.full[i], 2), barrier_init(&shared.empty[i], Shape::warps);
        barrier_init(&shared.own_full, 1), barrier_init(&shared.own_empty, Shape::warps);
        barrier_init_fence();
    }
    __syncthreads();
    const int group = __shfl_sync(~0u, threadIdx.x / 128, 0), warp = threadIdx.x / warp_size;
    if (group == 0) {
        registers_shrink<Shape::few_registers>();
        if (warp == 0) attention_hopper_copy<Shape>(qkv, d_out, out, first, at);
        else attention_hopper_note<Shape>(lse, delta, first, at, warp - 1);
    } else {
        registers_grow<Shape::many_registers>();
        if constexpr (Shape::ahead && Shape::of_keys) attention_hopper_keys_ahead<Shape>(d_qkv, at, scale, group - 1);
        else if constexpr (Shape::ahead) attention_hopper_queries_ahead<Shape>(d_qkv, delta, at, scale, group - 1);
        else if constexpr (Shape::of_keys) attention_hopper_keys<Shape>(d_qkv, at, scale, group - 1);
        else attention_hopper_queries<Shape>(d_qkv, delta, at, scale, group - 1);
    }
#endif
}

// One of the two kernels.
template <class Shape>
void attention_hopper_backward_side(bf16* d_qkv, float* delta, const bf16* d_out, const bf16* out, const float* lse,
                                    const bf16* qkv, const int* first, const AttentionHead& at, const Gpu<bf16>& on) {
    const auto map = [&](const bf16* data, int heads, uint32_t tokens) {
        const uint64_t HS = at.HS, row = heads * HS;
        return tensor_map(data, {HS, uint64_t(heads), uint64_t(at.T), uint64_t(at.B)}, {HS, row, row * at.T},
                          {64, 1, tokens, 1});
    };
    const int packed = at.NH + 2 * at.NKV, heads = Shape::of_keys ? at.NKV : at.NH;
    const int pairs = ceil_div(ceil_div(at.T, Shape::rows), 2);
    launch(attention_hopper_backward_kernel<Shape>, std::min(on.sm_count, at.B * heads * pairs), Shape::threads,
           sizeof(typename Shape::Shared), on, map(d_qkv, packed, 16), map(qkv, packed, Shape::columns),
           map(d_out, at.NH, Shape::columns), map(out, at.NH, Shape::columns), delta, lse, first, at, at.scale());
}

// False, and nothing is done, for other heads.
inline bool attention_hopper_backward(bf16* d_qkv, float* delta, const bf16* d_out, const bf16* out, const float* lse,
                                      const bf16* qkv, const int* first, const Dropout& drop, const AttentionHead& at,
                                      const Gpu<bf16>& on) {
    const auto run = [&](auto query, auto key) {
        attention_hopper_backward_side<decltype(query)>(d_qkv, delta, d_out, out, lse, qkv, first, at, on);
        attention_hopper_backward_side<decltype(key)>(d_qkv, delta, d_out, out, lse, qkv, first, at, on);
        return true;
    };
    if (drop.p > 0) return false;
    if (at.HS == 64) return run(AttentionHopperBackward<64, Owns::queries, 128>{}, AttentionHopperBackward<64, Owns::keys, 64>{});
    if (at.HS == 128) return run(AttentionHopperBackward<128, Owns::queries, 64>{}, AttentionHopperBackward<128, Owns::keys, 64>{});
    return false;
}
