// Attention on tensor cores, backward: the equations of attention.cuh, the shapes and tiles of attention_tensor.cuh.
//
// Two kernels, so that nothing is added across blocks and every sum has one order: the first owns queries and leaves
// d_q and delta, the second owns keys, walks over the queries of all heads of its group that see them, and leaves d_k
// and d_v. Each computes the scores anew: seven products instead of five. In the second, a row is a key and a column
// a query, so that its probabilities, too, leave one product as the left side of the next.
#pragma once
#include "attention_tensor.cuh"

template <int HS>
struct AttentionTensorQuery {
    using Tile = TensorTile<HS>;
    static constexpr int warp_rows = 32, I = warp_rows / 16, rows = 128, keys = 32, threads = rows, blocks = 2;
    static constexpr bool keeps_queries = HS <= 80, keeps_d_out = HS <= 64;        // in registers
    static constexpr size_t bytes = (2 * rows + 2 * 2 * keys) * HS * sizeof(bf16) + 2 * rows * sizeof(float);
    static_assert(2 * 2 * keys >= rows, "the keys' and values' tiles hold `out` at first");
    static_assert(blocks_by_shared(80, bytes) >= 1 && blocks_by_shared(90, bytes) >= blocks && bytes <= 99 << 10);
};

// delta[t] = d_out[t] . out[t]; a thread owns a row.
template <class Tile>
__device__ float attention_tensor_delta(const bf16* d_o, const bf16* o) {
    float sum = 0;
    #pragma unroll
    for (int v = 0; v < Tile::vectors; v++) {
        const Vec<8> x = load<8>(d_o + Tile::at(threadIdx.x, v)), y = load<8>(o + Tile::at(threadIdx.x, v));
        for (int i = 0; i < 8; i++) sum += x[i] * y[i];
    }
    return sum;
}

template <int HS>
__global__ void __launch_bounds__(AttentionTensorQuery<HS>::threads, AttentionTensorQuery<HS>::blocks)
attention_tensor_query_kernel(bf16* d_qkv, float* delta, const bf16* d_out, const bf16* out, const float* lse,
                              const bf16* qkv, const int* first, AttentionHead at, float scale) {
    using Shape = AttentionTensorQuery<HS>;
    using Tile = typename Shape::Tile;
    constexpr int I = Shape::I, rows = Shape::rows, keys = Shape::keys, threads = Shape::threads;
    bf16 *q = dynamic_shared<bf16>(), *d_o = q + rows * HS, *pairs = d_o + rows * HS;
    float *row_lse = reinterpret_cast<float*>(pairs + 2 * 2 * keys * HS), *row_delta = row_lse + rows;
    const int lane = threadIdx.x % warp_size, warp_row = threadIdx.x - lane, g = lane / 4;
    // Longest rows first.
    const int t0 = (gridDim.x - 1 - blockIdx.x) * rows, h = blockIdx.y, b = blockIdx.z, kv = h * at.NKV / at.NH;
    const int t_warp = t0 + warp_row, t_end = std::min(t0 + rows, at.T);
    const auto first_key = [&](int t) { return first ? first[at.token(b, std::min(t, at.T - 1))] : 0; };
    const auto copy_pair = [&](bf16* pair, int s0) {
        const bf16* key = qkv + at.key(b, kv) + size_t(s0) * at.row();
        tensor_copy<Tile, keys, threads>(pair, key, at.row(), at.T - s0);
        tensor_copy<Tile, keys, threads>(pair + keys * HS, key + at.NKV * HS, at.row(), at.T - s0);
        copy_async_commit();
    };

    // Queries and their d_out stay; out is needed once.
    tensor_copy<Tile, rows, threads>(q, qkv + at.query(b, t0, h), at.row(), at.T - t0);
    tensor_copy<Tile, rows, threads>(d_o, d_out + at.out(b, t0, h), at.out_row(), at.T - t0);
    tensor_copy<Tile, rows, threads>(pairs, out + at.out(b, t0, h), at.out_row(), at.T - t0);
    copy_async_commit();
    copy_async_wait<0>();
    __syncthreads();
    const bool inside = t0 + int(threadIdx.x) < at.T;
    const size_t statistic = at.lse(b, h, t0 + threadIdx.x);
    row_delta[threadIdx.x] = attention_tensor_delta<Tile>(d_o, pairs);
    row_lse[threadIdx.x] = inside ? lse[statistic] * log2_of_e : 0;
    if (inside) delta[statistic] = row_delta[threadIdx.x];
    __syncthreads();                                           // out is done with

    const int s_begin = first_key(t0) / keys * keys, latest = first_key(t_warp + Shape::warp_rows - 1);
    copy_pair(pairs, s_begin);
    TensorRows<Tile, I, Shape::keeps_queries> query(q, warp_row);
    TensorRows<Tile, I, Shape::keeps_d_out> d_out_rows(d_o, warp_row);
    query.load(), d_out_rows.load();
    float d_query[I][HS / 8][4] = {};
    int turn = 0;
    for (int s0 = s_begin; s0 < t_end; s0 += keys, turn ^= 1) {
        const bf16* k = pairs + turn * 2 * keys * HS;
        copy_async_wait<0>();
        __syncthreads();                                       // these keys are here; all are done with the last
        if (s0 + keys < t_end) copy_pair(pairs + (turn ^ 1) * 2 * keys * HS, s0 + keys);
        if (s0 >= t_warp + Shape::warp_rows) continue;         // the warp's last query sees none of them

        float score[I][keys / 8][4], d_prob[I][keys / 8][4];
        tensor_dots(score, query, k);
        tensor_dots(d_prob, d_out_rows, k + keys * HS);
        if (s0 + keys > t_warp + 1 || s0 < latest) attention_mask(score, first_key, t_warp, s0);
        of_rows<I>([&](int i, int half) {
            const int row = warp_row + 16 * i + 8 * half + g;
            const float log_sum = row_lse[row], dot = row_delta[row];
            #pragma unroll
            for (int j = 0; j < keys / 8; j++)
                for (int c = 2 * half; c < 2 * half + 2; c++)
                    score[i][j][c] = exp2_approximate(score[i][j][c] * (scale * log2_of_e) - log_sum) *
                                     (d_prob[i][j][c] - dot);
        });
        tensor_weighted_rows<Tile>(d_query, score, k);
    }
    tensor_store<Tile>(d_qkv + at.query(b, t_warp, h), at.row(), at.T - t_warp, q + warp_row * HS, d_query,
                       [&](int, int) { return scale; });
}

template <int HS>
struct AttentionTensorKey {
    using Tile = TensorTile<HS>;
    // Two sums of HS channels a key: wide heads leave a warp room for 16 keys only. But these stay in registers, too,
    // and their tiles give way to the queries'.
    static constexpr bool keeps = HS > 64;
    static constexpr int I = keeps ? 1 : 2, warp_rows = 16 * I, keys = 4 * warp_rows, threads = 128, blocks = 2;
    static constexpr int queries = 32, pair = 2 * queries * HS;                 // elements of queries and their d_outs
    static constexpr int own = 2 * keys * HS, first_pair = keeps ? 0 : own;     // of keys and values
    static constexpr size_t statistics = std::max(own, first_pair + 2 * pair) * sizeof(bf16),   // where they begin
                            bytes = statistics + 2 * 2 * queries * sizeof(float);
    static_assert(blocks_by_shared(80, bytes) >= blocks && blocks_by_shared(90, bytes) >= blocks && bytes <= 99 << 10);
};

// The first query after s that does not see key s. All lanes search together: each looks at one place, and the next
// round is between two of them.
__device__ inline int attention_last_reader(const int* first, const AttentionHead& at, int b, int s) {
    int low = s, high = at.T;                                  // low sees it, high does not
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
    #pragma unroll
    for (int j = 0; j < J; j++)
        #pragma unroll
        for (int c = 0; c < 2; c++) {
            const int t = t0 + 8 * j + 2 * quad + c, last = t - s0 - g, from = first_key(t) - s0 - g;
            of_rows<I>([&](int i, int half) {
                if (16 * i + 8 * half > last || 16 * i + 8 * half < from) score[i][j][2 * half + c] = -INFINITY;
            });
        }
}

template <int HS>
__global__ void __launch_bounds__(AttentionTensorKey<HS>::threads, AttentionTensorKey<HS>::blocks)
attention_tensor_key_kernel(bf16* d_qkv, const float* delta, const bf16* d_out, const float* lse, const bf16* qkv,
                            const int* first, AttentionHead at, float scale) {
    using Shape = AttentionTensorKey<HS>;
    using Tile = typename Shape::Tile;
    constexpr int I = Shape::I, keys = Shape::keys, queries = Shape::queries, threads = Shape::threads;
    bf16 *k = dynamic_shared<bf16>(), *v = k + keys * HS, *pairs = k + Shape::first_pair;   // queries, d_outs; twice
    float* statistics = reinterpret_cast<float*>(reinterpret_cast<char*>(k) + Shape::statistics);   // lse, delta; twice
    const int warp_row = threadIdx.x / warp_size * Shape::warp_rows, quad = threadIdx.x % 4;
    // The first keys have the most queries.
    const int s0 = blockIdx.x * keys, kv = blockIdx.y, b = blockIdx.z, group = at.NH / at.NKV, s_warp = s0 + warp_row;
    const auto first_key = [&](int t) { return first ? first[at.token(b, std::min(t, at.T - 1))] : 0; };
    const int t_end = attention_last_reader(first, at, b, std::min(s0 + keys, at.T) - 1);
    // From here on queries miss the warp's first keys.
    const int t_missing = attention_last_reader(first, at, b, std::min(s_warp, at.T - 1));
    const auto copy_tile = [&](int h, int t0, int turn) {
        bf16* pair = pairs + turn * Shape::pair;
        tensor_copy<Tile, queries, threads>(pair, qkv + at.query(b, t0, h), at.row(), at.T - t0);
        tensor_copy<Tile, queries, threads>(pair + queries * HS, d_out + at.out(b, t0, h), at.out_row(), at.T - t0);
        if (threadIdx.x < queries) {
            const int t = t0 + threadIdx.x;
            float* to = statistics + turn * 2 * queries + threadIdx.x;
            copy_async<4>(to, lse + at.lse(b, h, t), t < at.T ? 4 : 0);
            copy_async<4>(to + queries, delta + at.lse(b, h, t), t < at.T ? 4 : 0);
        }
        copy_async_commit();
    };

    tensor_copy<Tile, keys, threads>(k, qkv + at.key(b, kv) + size_t(s0) * at.row(), at.row(), at.T - s0);
    tensor_copy<Tile, keys, threads>(v, qkv + at.value(b, kv) + size_t(s0) * at.row(), at.row(), at.T - s0);
    TensorRows<Tile, I, Shape::keeps> key(k, warp_row), value(v, warp_row);
    if constexpr (Shape::keeps) {
        copy_async_commit();
        copy_async_wait<0>();
        __syncthreads();                                       // keys and values are here
        key.load(), value.load();
        __syncthreads();                                       // their place is free
    }
    int h = kv * group, t0 = s0, turn = 0;
    copy_tile(h, t0, turn);
    float d_key[I][HS / 8][4] = {}, d_value[I][HS / 8][4] = {};
    for (int h_next, t_next; h < (kv + 1) * group; h = h_next, t0 = t_next, turn ^= 1) {
        const bf16 *q = pairs + turn * Shape::pair, *d_o = q + queries * HS;
        const float* row = statistics + turn * 2 * queries + 2 * quad;
        const bool more = t0 + queries < t_end;                // of this head
        h_next = more ? h : h + 1, t_next = more ? t0 + queries : s0;
        copy_async_wait<0>();
        __syncthreads();                                       // these queries are here; all are done with the last
        if (h_next < (kv + 1) * group) copy_tile(h_next, t_next, turn ^ 1);
        if (t0 + queries <= s_warp) continue;                  // the last query sees none of the warp's keys

        // Probabilities. Queries beyond T are zeros, as are their d_out, lse and delta: they add nothing.
        float prob[I][queries / 8][4], d_score[I][queries / 8][4];
        tensor_dots(prob, key, q);
        if (t0 < s_warp + Shape::warp_rows - 1 || t0 + queries > t_missing)
            attention_mask_keys(prob, first_key, s_warp, t0);
        #pragma unroll
        for (int j = 0; j < queries / 8; j++) for (int c = 0; c < 4; c++) {
            const float log_sum = row[8 * j + c % 2] * log2_of_e;
            for (int i = 0; i < I; i++)
                prob[i][j][c] = exp2_approximate(prob[i][j][c] * (scale * log2_of_e) - log_sum);
        }
        tensor_weighted_rows<Tile>(d_value, prob, d_o);

        // Gradients of the scores, but for the scale.
        tensor_dots(d_score, value, d_o);
        #pragma unroll
        for (int j = 0; j < queries / 8; j++) for (int c = 0; c < 4; c++) {
            const float dot = row[queries + 8 * j + c % 2];
            for (int i = 0; i < I; i++) d_score[i][j][c] = prob[i][j][c] * (d_score[i][j][c] - dot);
        }
        tensor_weighted_rows<Tile>(d_key, d_score, q);
    }
    if constexpr (Shape::keeps) __syncthreads();               // all are done with the last queries
    bf16* to = d_qkv + at.key(b, kv) + size_t(s_warp) * at.row();
    tensor_store<Tile>(to, at.row(), at.T - s_warp, k + warp_row * HS, d_key, [&](int, int) { return scale; });
    tensor_store<Tile>(to + at.NKV * HS, at.row(), at.T - s_warp, v + warp_row * HS, d_value,
                       [&](int, int) { return 1.0f; });
}

// False, and nothing is done, for other head sizes.
inline bool attention_tensor_backward(bf16* d_qkv, float* delta, const bf16* d_out, const bf16* out, const float* lse,
                                      const bf16* qkv, const int* first, const AttentionHead& at, const Gpu<bf16>& on) {
    return by_tensor_head_size(at.HS, [&](auto HS) {
        using Query = AttentionTensorQuery<HS>;
        using Key = AttentionTensorKey<HS>;
        launch(attention_tensor_query_kernel<HS>, dim3(ceil_div(at.T, Query::rows), at.NH, at.B), Query::threads,
               Query::bytes, on, d_qkv, delta, d_out, out, lse, qkv, first, at, at.scale());
        launch(attention_tensor_key_kernel<HS>, dim3(ceil_div(at.T, Key::keys), at.NKV, at.B), Key::threads,
               Key::bytes, on, d_qkv, delta, d_out, lse, qkv, first, at, at.scale());
    });
}
