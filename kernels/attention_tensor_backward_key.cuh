// Attention on tensor cores, backward, the side of the keys: d_k and d_v. See attention_tensor_backward.cuh.
//
// A block owns keys of a key/value head and walks over the queries of all heads of its group that see them. A row is a
// key and a column a query, so that the probabilities, too, leave one matmul as the left operand of the next. Two
// forms: a warp does all for its keys, or two share them.
#pragma once
#include "attention_tensor.cuh"

template <int HS>
struct AttentionTensorKey {
    using Tile = TensorTile<HS>;
    // Two sums of HS channels a key: with wide heads a warp has room for 16 keys only. For HS > 64, K and V also stay
    // in registers, and their shared memory is reused for Q tiles.
    static constexpr bool keeps = HS > 64;
    static constexpr int I = keeps ? 1 : 2, warp_rows = 16 * I, keys = 4 * warp_rows, threads = 128, blocks = 2;
    static constexpr int queries = 32, pair = 2 * queries * HS,
                         J = queries / 8;                                    // pair: elements of queries, their d_outs
    static constexpr int own = 2 * keys * HS, first_pair = keeps ? 0 : own;  // of keys and values
    static constexpr size_t statistics = std::max(own, first_pair + 2 * pair) * sizeof(bf16),  // where they begin
        bytes = statistics + 2 * 2 * queries * sizeof(float);
    static_assert(blocks_by_shared(80, bytes) >= blocks && blocks_by_shared(90, bytes) >= blocks && bytes <= 99 << 10);
};

// The first query after s that does not see key s. All lanes search together: each looks at one place, and the next
// round is between two of them.
__device__ inline int attention_last_reader(const int* first, const AttentionHead& at, int b, int s) {
    int low = s, high = at.T;  // low sees it, high does not
    while (first && high - low > 1) {
        const int step = ceil_div(high - low, warp_size), t = low + step * int(threadIdx.x % warp_size);
        const int seeing = __popc(__ballot_sync(~0u, t < high && first[at.token(b, t)] <= s));
        low += step * (seeing - 1);
        high = std::min(high, low + step);
    }
    return high;
}

// Keys above the query or below the first it may see become invisible. Rows are keys from s0 on, columns queries from
// t0 on.
template <int I, int J, class First>
__device__ void attention_mask_keys(float (&score)[I][J][4], First first_key, int s0, int t0) {
    const int lane = threadIdx.x % warp_size, g = lane / 4, quad = lane % 4;
    UNROLL
    for (int j = 0; j < J; j++) {
        UNROLL
        for (int c = 0; c < 2; c++) {
            const int t = t0 + 8 * j + 2 * quad + c, last = t - s0 - g, from = first_key(t) - s0 - g;
            of_rows<I>([&](int i, int half) {
                if (16 * i + 8 * half > last || 16 * i + 8 * half < from) score[i][j][2 * half + c] = -INFINITY;
            });
        }
    }
}

// A block's keys, and its walk over the queries that see them: tile by tile, those of all heads of the group. The next
// tile is copied while one is worked on.
template <class Shape>
struct AttentionQueryWalk {
    using Tile = typename Shape::Tile;
    static constexpr int keys = Shape::keys, queries = Shape::queries, threads = Shape::threads;
    const bf16 *qkv, *d_out;
    const float *lse, *delta;
    const int* first;
    AttentionHead at;
    int columns;            // of a head
    int b, kv, s0, s_warp;  // the block's first key, the warp's
    int t_end, t_missing;   // up to here queries see some of the block's keys; from here on they miss the warp's first
    int h_end;
    int h, t0, turn;  // this tile
    int h_next, t_next;

    __device__ AttentionQueryWalk(const bf16* qkv, const bf16* d_out, const float* lse, const float* delta,
                                  const int* first, const AttentionHead& at, int columns, int warp_row)
        : qkv(qkv), d_out(d_out), lse(lse), delta(delta), first(first), at(at), columns(columns) {
        b = blockIdx.z, kv = blockIdx.y, s0 = blockIdx.x * keys, s_warp = s0 + warp_row;  // the first have most queries
        h_end = (kv + 1) * (at.NH / at.NKV);
        t_end = attention_last_reader(first, at, b, std::min(s0 + keys, at.T) - 1);
        t_missing = attention_last_reader(first, at, b, std::min(s_warp, at.T - 1));
    }
    // Starts to copy the block's keys to the front of shared memory, and behind them its values.
    __device__ void copy_keys() const {
        bf16* k = dynamic_shared<bf16>();
        const bf16* key = qkv + at.key(b, kv) + size_t(s0) * at.row();
        tensor_copy<Tile, keys, threads>(k, key, at.row(), at.T - s0, columns);
        tensor_copy<Tile, keys, threads>(k + keys * Tile::columns, key + at.NKV * columns, at.row(), at.T - s0,
                                         columns);
    }

    __device__ void begin() {
        h = h_end - at.NH / at.NKV, t0 = s0, turn = 0;
        copy(h, t0, turn);
    }
    __device__ bool more() const { return h < h_end; }
    __device__ void next() { h = h_next, t0 = t_next, turn ^= 1; }
    // This tile is here, the next on its way.
    __device__ void arrive() {
        const bool more = t0 + queries < t_end;  // of this head
        h_next = more ? h : h + 1, t_next = more ? t0 + queries : s0;
        copy_async_wait<0>();
        __syncthreads();  // these queries are here; all are done with the last
        if (h_next < h_end) copy(h_next, t_next, turn ^ 1);
    }

    // Whether the tile's last query sees any of the warp's keys.
    __device__ bool seen() const { return t0 + queries > s_warp; }
    __device__ const bf16* q() const { return pair(turn); }
    __device__ const bf16* d_o() const { return q() + queries * Tile::columns; }
    // lse, as a power of 2, and delta of the query in columns 8 j ... that is a fragment's element c.
    __device__ float log_sum(int j, int c) const { return row()[8 * j + c % 2] * log2_of_e; }
    __device__ float dot(int j, int c) const { return row()[queries + 8 * j + c % 2]; }

private:
    __device__ bf16* pair(int turn) const { return dynamic_shared<bf16>() + Shape::first_pair + turn * Shape::pair; }
    __device__ float* statistic(int turn) const {
        return reinterpret_cast<float*>(dynamic_shared<char>() + Shape::statistics) + turn * 2 * queries;
    }
    __device__ const float* row() const { return statistic(turn) + threadIdx.x % 4 * 2; }  // at the lane's columns
    // Starts to copy queries from t0 on, their d_outs, and behind each other their lse and delta.
    __device__ void copy(int h, int t0, int turn) const {
        bf16* to = pair(turn);
        float* statistics = statistic(turn);
        tensor_copy<Tile, queries, threads>(to, qkv + at.query(b, t0, h), at.row(), at.T - t0, columns);
        tensor_copy<Tile, queries, threads>(to + Shape::pair / 2, d_out + at.out(b, t0, h), at.out_row(), at.T - t0,
                                            columns);
        if (threadIdx.x < queries) {
            const int t = t0 + threadIdx.x;
            copy_async<4>(statistics + threadIdx.x, lse + at.lse(b, h, t), t < at.T ? 4 : 0);
            copy_async<4>(statistics + queries + threadIdx.x, delta + at.lse(b, h, t), t < at.T ? 4 : 0);
        }
        copy_async_commit();
    }
};

// Scores of keys by queries become probabilities. Queries beyond T are zeros, as are their d_out, lse and delta: they
// add nothing.
template <class Shape>
__device__ void attention_key_probabilities(float (&x)[Shape::I][Shape::J][4], const AttentionQueryWalk<Shape>& walk,
                                            float scale) {
    const AttentionHead& at = walk.at;
    const auto first_key = [&](int t) { return walk.first ? walk.first[at.token(walk.b, std::min(t, at.T - 1))] : 0; };
    if (walk.t0 < walk.s_warp + Shape::warp_rows - 1 || walk.t0 + Shape::queries > walk.t_missing)
        attention_mask_keys(x, first_key, walk.s_warp, walk.t0);
    UNROLL
    for (int j = 0; j < Shape::J; j++)
        for (int c = 0; c < 4; c++) {
            const float log_sum = walk.log_sum(j, c);
            for (int i = 0; i < Shape::I; i++)
                x[i][j][c] = exp2_approximate(x[i][j][c] * (scale * log2_of_e) - log_sum);
        }
}

// d_prob becomes the gradient of the scores, but for the scale.
template <class Shape>
__device__ void attention_key_d_scores(float (&x)[Shape::I][Shape::J][4], const float (&prob)[Shape::I][Shape::J][4],
                                       const AttentionQueryWalk<Shape>& walk) {
    UNROLL
    for (int j = 0; j < Shape::J; j++)
        for (int c = 0; c < 4; c++) {
            const float dot = walk.dot(j, c);
            for (int i = 0; i < Shape::I; i++) x[i][j][c] = prob[i][j][c] * (x[i][j][c] - dot);
        }
}

template <int HS>
__global__ void __launch_bounds__(AttentionTensorKey<HS>::threads, AttentionTensorKey<HS>::blocks)
    attention_tensor_key_kernel(bf16* d_qkv, const float* delta, const bf16* d_out, const float* lse, const bf16* qkv,
                                const int* first, AttentionHead at, float scale) {
    using Shape = AttentionTensorKey<HS>;
    using Tile = typename Shape::Tile;
    constexpr int I = Shape::I, J = Shape::J;
    bf16 *k = dynamic_shared<bf16>(), *v = k + Shape::keys * HS;
    const int warp_row = threadIdx.x / warp_size * Shape::warp_rows;
    AttentionQueryWalk<Shape> walk(qkv, d_out, lse, delta, first, at, HS, warp_row);

    walk.copy_keys();
    TensorRows<Tile, I, Shape::keeps> key(k, warp_row), value(v, warp_row);
    if constexpr (Shape::keeps) {
        copy_async_commit();
        copy_async_wait<0>();
        __syncthreads();  // keys and values are here
        key.load(), value.load();
        __syncthreads();  // their place is free
    }
    float d_key[I][HS / 8][4] = {}, d_value[I][HS / 8][4] = {};
    for (walk.begin(); walk.more(); walk.next()) {
        walk.arrive();
        if (!walk.seen()) continue;
        float prob[I][J][4], d_score[I][J][4];
        tensor_dots(prob, key, walk.q());
        attention_key_probabilities(prob, walk, scale);
        tensor_weighted_rows<Tile>(d_value, prob, walk.d_o());
        tensor_dots(d_score, value, walk.d_o());
        attention_key_d_scores(d_score, prob, walk);
        tensor_weighted_rows<Tile>(d_key, d_score, walk.q());
    }
    if constexpr (Shape::keeps) __syncthreads();  // all are done with the last queries
    bf16* to = d_qkv + at.key(walk.b, walk.kv) + size_t(walk.s_warp) * at.row();
    tensor_store<Tile>(to, at.row(), at.T - walk.s_warp, k + warp_row * HS, d_key, [&](int, int) { return scale; });
    tensor_store<Tile>(to + at.NKV * HS, at.row(), at.T - walk.s_warp, v + warp_row * HS, d_value,
                       [&](int, int) { return 1.0f; });
}

// Two warps share the keys: where a warp's registers cannot hold both sums, or nothing beside them. One computes the
// probabilities and sums d_k, the other computes d_prob and sums d_v; in between they exchange the two through shared
// memory. Both lay them out alike, so that a lane's numbers are for the same lane of the other warp.
template <int HS>
struct AttentionTensorPaired {
    using Tile = TensorTile<HS>;
    static constexpr int I = HS <= 64 ? 2 : 1, warp_rows = 16 * I, warps = 8, keys = warps / 2 * warp_rows;
    static constexpr int threads = warps * warp_size, blocks = 1;
    static constexpr int queries = HS <= 32 ? 64 : 32, pair = 2 * queries * HS, first_pair = 0, J = queries / 8;
    // K and V stay in registers and their shared memory is reused for Q tiles. Behind these: what the warps exchange.
    static constexpr size_t exchange = std::max(2 * keys * HS, 2 * pair) * sizeof(bf16),
                            statistics = exchange + warps * I * J * warp_size * sizeof(float4),
                            bytes = statistics + 2 * 2 * queries * sizeof(float);
    static_assert(blocks_by_shared(80, bytes) >= blocks && blocks_by_shared(90, bytes) >= blocks && bytes <= 99 << 10);
};

// What a warp shows to the other of its couple: x of this lane, beside those of the others.
template <class Shape>
__device__ float4* attention_paired_place(int warp) {
    return reinterpret_cast<float4*>(dynamic_shared<char>() + Shape::exchange) +
           warp * Shape::I * Shape::J * warp_size + threadIdx.x % warp_size;
}
template <class Shape>
__device__ void attention_paired_show(const float (&x)[Shape::I][Shape::J][4]) {
    float4* place = attention_paired_place<Shape>(threadIdx.x / warp_size);
    UNROLL
    for (int i = 0; i < Shape::I; i++)
        for (int j = 0; j < Shape::J; j++)
            place[(i * Shape::J + j) * warp_size] = float4{x[i][j][0], x[i][j][1], x[i][j][2], x[i][j][3]};
}

// Of a warp of keys: its probabilities become gradients of the scores, but for the scale. Of a warp of values: what was
// d_prob becomes the other's probabilities. dot_factor: what of delta is left where probabilities are dropped.
template <class Shape>
__device__ void attention_paired_exchange(float (&x)[Shape::I][Shape::J][4], const AttentionQueryWalk<Shape>& walk,
                                          bool of_values, float dot_factor) {
    const float4* place = attention_paired_place<Shape>(threadIdx.x / warp_size ^ 1);
    UNROLL
    for (int i = 0; i < Shape::I; i++)
        for (int j = 0; j < Shape::J; j++) {
            const float4 other = place[(i * Shape::J + j) * warp_size];
            const float y[4] = {other.x, other.y, other.z, other.w};
            for (int c = 0; c < 4; c++) {
                const float dot = walk.dot(j, c) * dot_factor;
                x[i][j][c] = of_values ? y[c] : x[i][j][c] * (y[c] - dot);
            }
        }
}

template <int HS, Heads heads>
__global__ void __launch_bounds__(AttentionTensorPaired<HS>::threads, AttentionTensorPaired<HS>::blocks)
    attention_tensor_paired_key_kernel(bf16* d_qkv, const float* delta, const bf16* d_out, const float* lse,
                                       const bf16* qkv, const int* first, Dropout drop, AttentionHead at, float scale) {
    using Shape = AttentionTensorPaired<HS>;
    using Tile = typename Shape::Tile;
    constexpr int I = Shape::I, J = Shape::J;
    const int warp = threadIdx.x / warp_size, couple = warp / 2, warp_row = couple * Shape::warp_rows;
    // A scheduler has warps w and w + 4: one of each kind, as only the one of values has to do with dropout.
    const bool of_values = (warp + warp / 4) % 2;  // or of keys
    AttentionQueryWalk<Shape> walk(qkv, d_out, lse, delta, first, at, heads == Heads::exact ? HS : at.HS, warp_row);
    bf16* own = dynamic_shared<bf16>() + (of_values * Shape::keys + warp_row) * HS;  // the warp's, at first and last

    walk.copy_keys();
    copy_async_commit();
    copy_async_wait<0>();
    __syncthreads();  // keys and values are here
    TensorRows<Tile, I, true> own_rows(own, 0);
    own_rows.load();
    __syncthreads();  // their place is free
    const float dot_factor = heads == Heads::exact ? 1 : 1 - drop.p;
    float sum[I][HS / 8][4] = {};
    for (walk.begin(); walk.more(); walk.next()) {
        walk.arrive();
        if (!walk.seen()) continue;
        [[maybe_unused]] AttentionKept<I> kept;
        if constexpr (heads == Heads::any) {
            for (uint32_t& bits : kept.bits) bits = ~0u;
            if (of_values) kept.template of_keys<J>(AttentionDropout(drop), at, walk.b, walk.h, walk.s_warp, walk.t0);
        }
        // Probabilities, of which values get the kept ones, or d_prob, of which the others are zeros.
        const bf16* other_rows = of_values ? walk.d_o() : walk.q();
        float x[I][J][4];
        tensor_dots(x, own_rows, other_rows);
        if (!of_values) attention_key_probabilities(x, walk, scale);
        else if constexpr (heads == Heads::any) kept.of(x);
        attention_paired_show<Shape>(x);
        named_barrier_sync(1 + couple, 2 * warp_size);  // the other warp's are there
        attention_paired_exchange(x, walk, of_values, dot_factor);
        if constexpr (heads == Heads::any) tensor_weighted_rows<Tile>(sum, x, other_rows, kept);
        else tensor_weighted_rows<Tile>(sum, x, other_rows);
    }
    __syncthreads();  // all are done with the last queries
    const float kept_factor = heads == Heads::exact ? 1 : 1 / (1 - drop.p);
    const float factor = of_values ? kept_factor : scale * kept_factor;
    bf16* to = d_qkv + (of_values ? at.value(walk.b, walk.kv) : at.key(walk.b, walk.kv));
    tensor_store<Tile>(
        to + size_t(walk.s_warp) * at.row(), at.row(), at.T - walk.s_warp, own, sum, [&](int, int) { return factor; },
        walk.columns);
}
