// Attention on tensor cores, backward, the side of the queries: d_q and delta. See attention_tensor_backward.cuh.
//
// A block owns 128 queries of a head, as forward, and walks over the keys that these may see.
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
