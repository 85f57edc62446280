// Attention on tensor cores, backward: the equations of attention.cuh, the shapes and tiles of attention_tensor.cuh.
//
// Two kernels, so that nothing is added across blocks and every sum has one order: the first owns queries and leaves
// d_q and delta, the second owns keys, walks over the queries of all heads of its group that see them, and leaves d_k
// and d_v. Each computes the scores anew: seven matmuls instead of five. In the second, a row is a key and a column
// a query, so that its probabilities, too, leave one matmul as the left operand of the next. It comes in two forms: a
// warp does all for its keys, or two share them.
#pragma once
#include "attention_tensor.cuh"

template <int HS, Heads heads>
struct AttentionTensorQuery {
    using Tile = TensorTile<HS>;
    // The widest heads: see AttentionTensor.
    static constexpr int warp_rows = HS <= 128 ? 32 : 16, I = warp_rows / 16, rows = 128;
    static constexpr int threads = rows / warp_rows * warp_size, blocks = HS <= 128 ? 2 : 1;
    static constexpr int keys = HS < 128 || (HS == 128 && heads == Heads::exact) ? 32 : 16;
    static constexpr int pairs = 2 * 2 * keys;                                           // rows of keys and values
    static constexpr bool keeps_queries = HS <= 80 || HS > 128, keeps_d_out = HS <= 64;  // in registers
    static constexpr bool queries_leave = HS > 128;                                      // their place to d_out
    static constexpr bool out_fits = pairs >= rows;               // where keys and values will be
    static constexpr int first_d_out = queries_leave ? 0 : rows;  // the row where they begin
    static constexpr size_t statistics = (first_d_out + rows + pairs) * HS * sizeof(bf16),  // where they begin
        bytes = statistics + 2 * rows * sizeof(float);
    static_assert(blocks_by_shared(80, bytes) >= 1 && blocks_by_shared(90, bytes) >= blocks && bytes <= 99 << 10);
};

// delta[t] = d_out[t] . out[t]; a thread owns a row, of which out_vector(v) are out's channels from 8 v on.
template <class Tile, class Out>
__device__ float attention_tensor_delta(const bf16* d_o, Out out_vector) {
    float sum = 0;
    UNROLL
    for (int v = 0; v < Tile::vectors; v++) {
        const Vec<8> x = load<8>(d_o + Tile::at(threadIdx.x, v)), y = out_vector(v);
        for (int i = 0; i < 8; i++) sum += x[i] * y[i];
    }
    return sum;
}

template <int HS, Heads heads>
__global__ void __launch_bounds__(AttentionTensorQuery<HS, heads>::threads, AttentionTensorQuery<HS, heads>::blocks)
    attention_tensor_query_kernel(bf16* d_qkv, float* delta, const bf16* d_out, const bf16* out, const float* lse,
                                  const bf16* qkv, const int* first, Dropout drop, AttentionHead at, float scale) {
    using Shape = AttentionTensorQuery<HS, heads>;
    using Tile = typename Shape::Tile;
    constexpr int I = Shape::I, rows = Shape::rows, keys = Shape::keys, threads = Shape::threads;
    bf16 *q = dynamic_shared<bf16>(), *d_o = q + Shape::first_d_out * HS, *pairs = d_o + rows * HS;
    float *row_lse = reinterpret_cast<float*>(pairs + Shape::pairs * HS), *row_delta = row_lse + rows;
    const int lane = threadIdx.x % warp_size, g = lane / 4;
    const int warp_row = int(threadIdx.x - lane) * Shape::warp_rows / warp_size;
    // Longest rows first.
    const int t0 = (gridDim.x - 1 - blockIdx.x) * rows, h = blockIdx.y, b = blockIdx.z, kv = h * at.NKV / at.NH;
    const int t_warp = t0 + warp_row, t_end = std::min(t0 + rows, at.T), columns = heads == Heads::exact ? HS : at.HS;
    const auto first_key = [&](int t) { return first ? first[at.token(b, std::min(t, at.T - 1))] : 0; };
    const auto copy_pair = [&](bf16* pair, int s0) {
        const bf16* key = qkv + at.key(b, kv) + size_t(s0) * at.row();
        tensor_copy<Tile, keys, threads>(pair, key, at.row(), at.T - s0, columns);
        tensor_copy<Tile, keys, threads>(pair + keys * HS, key + at.NKV * columns, at.row(), at.T - s0, columns);
        copy_async_commit();
    };

    // Queries and their d_out stay; out is needed once.
    tensor_copy<Tile, rows, threads>(q, qkv + at.query(b, t0, h), at.row(), at.T - t0, columns);
    using Queries = TensorRows<Tile, I, Shape::keeps_queries>;
    [[maybe_unused]] const auto early = [&] {
        if constexpr (Shape::queries_leave) {
            Queries rows_of_q(q, warp_row);
            copy_async_commit();
            copy_async_wait<0>();
            __syncthreads();  // they are here
            rows_of_q.load();
            __syncthreads();  // their place is free
            return rows_of_q;
        } else {
            return 0;
        }
    }();
    tensor_copy<Tile, rows, threads>(d_o, d_out + at.out(b, t0, h), at.out_row(), at.T - t0, columns);
    const bf16* out_rows = out + at.out(b, t0, h);
    if constexpr (Shape::out_fits) tensor_copy<Tile, rows, threads>(pairs, out_rows, at.out_row(), at.T - t0, columns);
    copy_async_commit();
    copy_async_wait<0>();
    __syncthreads();
    if (rows == threads || threadIdx.x < rows) {
        const bool inside = t0 + int(threadIdx.x) < at.T;
        const size_t statistic = at.lse(b, h, t0 + threadIdx.x);
        const bf16* out_row = out_rows + threadIdx.x * size_t(at.out_row());
        const float dot = attention_tensor_delta<Tile>(d_o, [&](int v) {
            if constexpr (Shape::out_fits) return load<8>(pairs + Tile::at(threadIdx.x, v));
            else return inside && 8 * v < columns ? load<8>(out_row + 8 * v) : Vec<8>{};
        });
        row_delta[threadIdx.x] = heads == Heads::exact ? dot : dot * (1 - drop.p);
        row_lse[threadIdx.x] = inside ? lse[statistic] * log2_of_e : 0;
        if (inside) delta[statistic] = dot;
    }
    __syncthreads();  // out is done with

    const int s_begin = first_key(t0) / keys * keys, latest = first_key(t_warp + Shape::warp_rows - 1);
    copy_pair(pairs, s_begin);
    Queries query(q, warp_row);
    TensorRows<Tile, I, Shape::keeps_d_out> d_out_rows(d_o, warp_row);
    if constexpr (Shape::queries_leave) query = early;
    else query.load();
    d_out_rows.load();
    float d_query[I][HS / 8][4] = {};
    int turn = 0;
    for (int s0 = s_begin; s0 < t_end; s0 += keys, turn ^= 1) {
        const bf16* k = pairs + turn * 2 * keys * HS;
        copy_async_wait<0>();
        __syncthreads();  // these keys are here; all are done with the last
        if (s0 + keys < t_end) copy_pair(pairs + (turn ^ 1) * 2 * keys * HS, s0 + keys);
        if (s0 >= t_warp + Shape::warp_rows) continue;  // the warp's last query sees none of them

        [[maybe_unused]] AttentionKept<I> kept;
        if constexpr (heads == Heads::any)
            kept.template of_queries<keys / 8>(AttentionDropout(drop), at, b, h, t_warp, s0);
        float score[I][keys / 8][4], d_prob[I][keys / 8][4];
        tensor_dots(score, query, k);
        tensor_dots(d_prob, d_out_rows, k + keys * HS);
        if constexpr (heads == Heads::any) kept.of(d_prob);
        if (s0 + keys > t_warp + 1 || s0 < latest) attention_mask(score, first_key, t_warp, s0);
        of_rows<I>([&](int i, int half) {
            const int row = warp_row + 16 * i + 8 * half + g;
            const float log_sum = row_lse[row], dot = row_delta[row];
            UNROLL
            for (int j = 0; j < keys / 8; j++)
                for (int c = 2 * half; c < 2 * half + 2; c++)
                    score[i][j][c] =
                        exp2_approximate(score[i][j][c] * (scale * log2_of_e) - log_sum) * (d_prob[i][j][c] - dot);
        });
        tensor_weighted_rows<Tile>(d_query, score, k);
    }
    const float factor = heads == Heads::exact ? scale : scale / (1 - drop.p);
    tensor_store<Tile>(
        d_qkv + at.query(b, t_warp, h), at.row(), at.T - t_warp, q + warp_row * HS, d_query,
        [&](int, int) { return factor; }, columns);
}

template <int HS>
struct AttentionTensorKey {
    using Tile = TensorTile<HS>;
    // Two sums of HS channels a key: with wide heads a warp has room for 16 keys only. For HS > 64, K and V also stay
    // in registers, and their shared memory is reused for Q tiles.
    static constexpr bool keeps = HS > 64;
    static constexpr int I = keeps ? 1 : 2, warp_rows = 16 * I, keys = 4 * warp_rows, threads = 128, blocks = 2;
    static constexpr int queries = 32, pair = 2 * queries * HS;              // elements of queries and their d_outs
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

// Starts to copy queries from t0 on, their d_outs, and behind each other their lse and delta.
template <class Shape>
__device__ void attention_copy_queries(bf16* pair, float* statistics, const bf16* qkv, const bf16* d_out,
                                       const float* lse, const float* delta, const AttentionHead& at, int b, int h,
                                       int t0, int columns) {
    using Tile = typename Shape::Tile;
    constexpr int queries = Shape::queries, threads = Shape::threads;
    tensor_copy<Tile, queries, threads>(pair, qkv + at.query(b, t0, h), at.row(), at.T - t0, columns);
    tensor_copy<Tile, queries, threads>(pair + Shape::pair / 2, d_out + at.out(b, t0, h), at.out_row(), at.T - t0,
                                        columns);
    if (threadIdx.x < queries) {
        const int t = t0 + threadIdx.x;
        copy_async<4>(statistics + threadIdx.x, lse + at.lse(b, h, t), t < at.T ? 4 : 0);
        copy_async<4>(statistics + queries + threadIdx.x, delta + at.lse(b, h, t), t < at.T ? 4 : 0);
    }
    copy_async_commit();
}

template <int HS>
__global__ void __launch_bounds__(AttentionTensorKey<HS>::threads, AttentionTensorKey<HS>::blocks)
    attention_tensor_key_kernel(bf16* d_qkv, const float* delta, const bf16* d_out, const float* lse, const bf16* qkv,
                                const int* first, AttentionHead at, float scale) {
    using Shape = AttentionTensorKey<HS>;
    using Tile = typename Shape::Tile;
    constexpr int I = Shape::I, keys = Shape::keys, queries = Shape::queries, threads = Shape::threads;
    bf16 *k = dynamic_shared<bf16>(), *v = k + keys * HS, *pairs = k + Shape::first_pair;  // queries, d_outs; twice
    float* statistics = reinterpret_cast<float*>(reinterpret_cast<char*>(k) + Shape::statistics);  // lse, delta; twice
    const int warp_row = threadIdx.x / warp_size * Shape::warp_rows, quad = threadIdx.x % 4;
    // The first keys have the most queries.
    const int s0 = blockIdx.x * keys, kv = blockIdx.y, b = blockIdx.z, group = at.NH / at.NKV, s_warp = s0 + warp_row;
    const auto first_key = [&](int t) { return first ? first[at.token(b, std::min(t, at.T - 1))] : 0; };
    const int t_end = attention_last_reader(first, at, b, std::min(s0 + keys, at.T) - 1);
    // From here on queries miss the warp's first keys.
    const int t_missing = attention_last_reader(first, at, b, std::min(s_warp, at.T - 1));
    const auto copy_tile = [&](int h, int t0, int turn) {
        attention_copy_queries<Shape>(pairs + turn * Shape::pair, statistics + turn * 2 * queries, qkv, d_out, lse,
                                      delta, at, b, h, t0, HS);
    };

    tensor_copy<Tile, keys, threads>(k, qkv + at.key(b, kv) + size_t(s0) * at.row(), at.row(), at.T - s0);
    tensor_copy<Tile, keys, threads>(v, qkv + at.value(b, kv) + size_t(s0) * at.row(), at.row(), at.T - s0);
    TensorRows<Tile, I, Shape::keeps> key(k, warp_row), value(v, warp_row);
    if constexpr (Shape::keeps) {
        copy_async_commit();
        copy_async_wait<0>();
        __syncthreads();  // keys and values are here
        key.load(), value.load();
        __syncthreads();  // their place is free
    }
    int h = kv * group, t0 = s0, turn = 0;
    copy_tile(h, t0, turn);
    float d_key[I][HS / 8][4] = {}, d_value[I][HS / 8][4] = {};
    for (int h_next, t_next; h < (kv + 1) * group; h = h_next, t0 = t_next, turn ^= 1) {
        const bf16 *q = pairs + turn * Shape::pair, *d_o = q + queries * HS;
        const float* row = statistics + turn * 2 * queries + 2 * quad;
        const bool more = t0 + queries < t_end;  // of this head
        h_next = more ? h : h + 1, t_next = more ? t0 + queries : s0;
        copy_async_wait<0>();
        __syncthreads();  // these queries are here; all are done with the last
        if (h_next < (kv + 1) * group) copy_tile(h_next, t_next, turn ^ 1);
        if (t0 + queries <= s_warp) continue;  // the last query sees none of the warp's keys

        // Probabilities. Queries beyond T are zeros, as are their d_out, lse and delta: they add nothing.
        float prob[I][queries / 8][4], d_score[I][queries / 8][4];
        tensor_dots(prob, key, q);
        if (t0 < s_warp + Shape::warp_rows - 1 || t0 + queries > t_missing)
            attention_mask_keys(prob, first_key, s_warp, t0);
        UNROLL
        for (int j = 0; j < queries / 8; j++)
            for (int c = 0; c < 4; c++) {
                const float log_sum = row[8 * j + c % 2] * log2_of_e;
                for (int i = 0; i < I; i++)
                    prob[i][j][c] = exp2_approximate(prob[i][j][c] * (scale * log2_of_e) - log_sum);
            }
        tensor_weighted_rows<Tile>(d_value, prob, d_o);

        // Gradients of the scores, but for the scale.
        tensor_dots(d_score, value, d_o);
        UNROLL
        for (int j = 0; j < queries / 8; j++)
            for (int c = 0; c < 4; c++) {
                const float dot = row[queries + 8 * j + c % 2];
                for (int i = 0; i < I; i++) d_score[i][j][c] = prob[i][j][c] * (d_score[i][j][c] - dot);
            }
        tensor_weighted_rows<Tile>(d_key, d_score, q);
    }
    if constexpr (Shape::keeps) __syncthreads();  // all are done with the last queries
    bf16* to = d_qkv + at.key(b, kv) + size_t(s_warp) * at.row();
    tensor_store<Tile>(to, at.row(), at.T - s_warp, k + warp_row * HS, d_key, [&](int, int) { return scale; });
    tensor_store<Tile>(to + at.NKV * HS, at.row(), at.T - s_warp, v + warp_row * HS, d_value,
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
    static constexpr int queries = HS <= 32 ? 64 : 32, pair = 2 * queries * HS, J = queries / 8;
    // K and V stay in registers and their shared memory is reused for Q tiles. Behind these: what the warps exchange.
    static constexpr size_t exchange = std::max(2 * keys * HS, 2 * pair) * sizeof(bf16),
                            statistics = exchange + warps * I * J * warp_size * sizeof(float4),
                            bytes = statistics + 2 * 2 * queries * sizeof(float);
    static_assert(blocks_by_shared(80, bytes) >= blocks && blocks_by_shared(90, bytes) >= blocks && bytes <= 99 << 10);
};

template <int HS, Heads heads>
__global__ void __launch_bounds__(AttentionTensorPaired<HS>::threads, AttentionTensorPaired<HS>::blocks)
    attention_tensor_paired_key_kernel(bf16* d_qkv, const float* delta, const bf16* d_out, const float* lse,
                                       const bf16* qkv, const int* first, Dropout drop, AttentionHead at, float scale) {
    using Shape = AttentionTensorPaired<HS>;
    using Tile = typename Shape::Tile;
    constexpr int I = Shape::I, J = Shape::J, keys = Shape::keys, queries = Shape::queries, threads = Shape::threads;
    char* const shared = dynamic_shared<char>();
    bf16* pairs = reinterpret_cast<bf16*>(shared);                             // queries, d_outs; twice
    float* statistics = reinterpret_cast<float*>(shared + Shape::statistics);  // lse, delta; twice
    const int warp = threadIdx.x / warp_size, couple = warp / 2, quad = threadIdx.x % 4;
    // A scheduler has warps w and w + 4: one of each kind, as only the one of values has to do with dropout.
    const bool of_values = (warp + warp / 4) % 2;  // or of keys
    const int warp_row = couple * Shape::warp_rows, columns = heads == Heads::exact ? HS : at.HS;
    bf16* own = pairs + of_values * keys * HS + warp_row * HS;  // the warp's rows, at first and last
    float4* exchange = reinterpret_cast<float4*>(shared + Shape::exchange) + threadIdx.x % warp_size;
    const auto place = [&](int of_warp) { return exchange + of_warp * I * J * warp_size; };
    // The first keys have the most queries.
    const int s0 = blockIdx.x * keys, kv = blockIdx.y, b = blockIdx.z, group = at.NH / at.NKV, s_warp = s0 + warp_row;
    const auto first_key = [&](int t) { return first ? first[at.token(b, std::min(t, at.T - 1))] : 0; };
    const int t_end = attention_last_reader(first, at, b, std::min(s0 + keys, at.T) - 1);
    // From here on queries miss the warp's first keys.
    const int t_missing = attention_last_reader(first, at, b, std::min(s_warp, at.T - 1));
    const auto copy_tile = [&](int h, int t0, int turn) {
        attention_copy_queries<Shape>(pairs + turn * Shape::pair, statistics + turn * 2 * queries, qkv, d_out, lse,
                                      delta, at, b, h, t0, columns);
    };

    const bf16* key = qkv + at.key(b, kv) + size_t(s0) * at.row();
    tensor_copy<Tile, keys, threads>(pairs, key, at.row(), at.T - s0, columns);
    tensor_copy<Tile, keys, threads>(pairs + keys * HS, key + at.NKV * columns, at.row(), at.T - s0, columns);
    copy_async_commit();
    copy_async_wait<0>();
    __syncthreads();  // keys and values are here
    TensorRows<Tile, I, true> own_rows(own, 0);
    own_rows.load();
    __syncthreads();  // their place is free

    int h = kv * group, t0 = s0, turn = 0;
    copy_tile(h, t0, turn);
    float sum[I][HS / 8][4] = {};
    for (int h_next, t_next; h < (kv + 1) * group; h = h_next, t0 = t_next, turn ^= 1) {
        const bf16* other_rows = pairs + turn * Shape::pair + of_values * queries * HS;  // queries or d_outs
        const float* row = statistics + turn * 2 * queries + 2 * quad;
        const bool more = t0 + queries < t_end;  // of this head
        h_next = more ? h : h + 1, t_next = more ? t0 + queries : s0;
        copy_async_wait<0>();
        __syncthreads();  // these queries are here; all are done with the last
        if (h_next < (kv + 1) * group) copy_tile(h_next, t_next, turn ^ 1);
        if (t0 + queries <= s_warp) continue;  // the last query sees none of the warp's keys

        // Probabilities, of which values get the kept ones, or d_prob, of which the others are zeros. Queries beyond T
        // are zeros, as are their d_out, lse and delta: they add nothing.
        [[maybe_unused]] AttentionKept<I> kept;
        if constexpr (heads == Heads::any) {
            for (uint32_t& bits : kept.bits) bits = ~0u;
            if (of_values) kept.template of_keys<J>(AttentionDropout(drop), at, b, h, s_warp, t0);
        }
        float x[I][J][4];
        tensor_dots(x, own_rows, other_rows);
        if (!of_values) {
            if (t0 < s_warp + Shape::warp_rows - 1 || t0 + queries > t_missing)
                attention_mask_keys(x, first_key, s_warp, t0);
            UNROLL
            for (int j = 0; j < J; j++)
                for (int c = 0; c < 4; c++) {
                    const float log_sum = row[8 * j + c % 2] * log2_of_e;
                    for (int i = 0; i < I; i++)
                        x[i][j][c] = exp2_approximate(x[i][j][c] * (scale * log2_of_e) - log_sum);
                }
        } else if constexpr (heads == Heads::any) {
            kept.of(x);
        }
        UNROLL
        for (int i = 0; i < I; i++)
            for (int j = 0; j < J; j++)
                place(warp)[(i * J + j) * warp_size] = float4{x[i][j][0], x[i][j][1], x[i][j][2], x[i][j][3]};
        named_barrier_sync(1 + couple, 2 * warp_size);  // the other warp's are there

        // Gradients of the scores, but for the scale; or probabilities.
        UNROLL
        for (int i = 0; i < I; i++)
            for (int j = 0; j < J; j++) {
                const float4 other = place(warp ^ 1)[(i * J + j) * warp_size];
                const float y[4] = {other.x, other.y, other.z, other.w};
                for (int c = 0; c < 4; c++) {
                    const float dot = row[queries + 8 * j + c % 2] * (heads == Heads::exact ? 1 : 1 - drop.p);
                    x[i][j][c] = of_values ? y[c] : x[i][j][c] * (y[c] - dot);
                }
            }
        if constexpr (heads == Heads::any) tensor_weighted_rows<Tile>(sum, x, other_rows, kept);
        else tensor_weighted_rows<Tile>(sum, x, other_rows);
    }
    __syncthreads();  // all are done with the last queries
    const float kept_factor = heads == Heads::exact ? 1 : 1 / (1 - drop.p);
    const float factor = of_values ? kept_factor : scale * kept_factor;
    bf16* to = d_qkv + (of_values ? at.value(b, kv) : at.key(b, kv)) + size_t(s_warp) * at.row();
    tensor_store<Tile>(
        to, at.row(), at.T - s_warp, own, sum, [&](int, int) { return factor; }, columns);
}

// False, and nothing is done, for head sizes that are no multiples of 8.
inline bool attention_tensor_backward(bf16* d_qkv, float* delta, const bf16* d_out, const bf16* out, const float* lse,
                                      const bf16* qkv, const int* first, const Dropout& drop, const AttentionHead& at,
                                      const Gpu<bf16>& on) {
    return by_tensor_heads(at.HS, drop, [&](auto HS, auto heads) {
        using Query = AttentionTensorQuery<HS, heads>;
        launch(attention_tensor_query_kernel<HS, heads>, dim3(ceil_div(at.T, Query::rows), at.NH, at.B), Query::threads,
               Query::bytes, on, d_qkv, delta, d_out, out, lse, qkv, first, drop, at, at.scale());
        if constexpr (heads == Heads::exact && HS <= 128) {
            using Key = AttentionTensorKey<HS>;
            launch(attention_tensor_key_kernel<HS>, dim3(ceil_div(at.T, Key::keys), at.NKV, at.B), Key::threads,
                   Key::bytes, on, d_qkv, delta, d_out, lse, qkv, first, at, at.scale());
        } else {
            using Key = AttentionTensorPaired<HS>;
            launch(attention_tensor_paired_key_kernel<HS, heads>, dim3(ceil_div(at.T, Key::keys), at.NKV, at.B),
                   Key::threads, Key::bytes, on, d_qkv, delta, d_out, lse, qkv, first, drop, at, at.scale());
        }
    });
}
