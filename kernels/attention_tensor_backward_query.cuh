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

// What a query's probabilities and their gradients need: its lse, as a power of 2, and what is left of its delta where
// probabilities are dropped.
struct AttentionQueryStatistics {
    float *lse, *dot;  // of the block's rows, in shared memory
};

// Finds them, and leaves delta. Out is in shared memory, as `out_tile`, where it fits.
template <class Shape>
__device__ void attention_query_statistics(const AttentionQueryStatistics& to, float* delta, const bf16* d_o,
                                           const bf16* out_tile, const bf16* out, const float* lse,
                                           const AttentionKeyWalk<Shape>& walk, float dot_factor) {
    using Tile = typename Shape::Tile;
    if (Shape::rows < Shape::threads && threadIdx.x >= Shape::rows) return;
    const AttentionHead& at = walk.at;
    const bool inside = walk.t0 + int(threadIdx.x) < at.T;
    const size_t statistic = at.lse(walk.b, walk.h, walk.t0 + threadIdx.x);
    const bf16* out_row = out + at.out(walk.b, walk.t0, walk.h) + threadIdx.x * size_t(at.out_row());
    const float dot = attention_tensor_delta<Tile>(d_o, [&](int v) {
        if constexpr (Shape::out_fits) return load<8>(out_tile + Tile::at(threadIdx.x, v));
        else return inside && 8 * v < walk.columns ? load<8>(out_row + 8 * v) : Vec<8>{};
    });
    to.dot[threadIdx.x] = dot * dot_factor;
    to.lse[threadIdx.x] = inside ? lse[statistic] * log2_of_e : 0;
    if (inside) delta[statistic] = dot;
}

// Scores become their gradients, but for the scale.
template <int I, int J>
__device__ void attention_query_d_scores(float (&score)[I][J][4], const float (&d_prob)[I][J][4],
                                         const AttentionQueryStatistics& of, int warp_row, float scale) {
    of_rows<I>([&](int i, int half) {
        const int row = warp_row + 16 * i + 8 * half + threadIdx.x % warp_size / 4;
        const float log_sum = of.lse[row], dot = of.dot[row];
        UNROLL
        for (int j = 0; j < J; j++)
            for (int c = 2 * half; c < 2 * half + 2; c++)
                score[i][j][c] =
                    exp2_approximate(score[i][j][c] * (scale * log2_of_e) - log_sum) * (d_prob[i][j][c] - dot);
    });
}

template <int HS, Heads heads>
__global__ void __launch_bounds__(AttentionTensorQuery<HS, heads>::threads, AttentionTensorQuery<HS, heads>::blocks)
    attention_tensor_query_kernel(bf16* d_qkv, float* delta, const bf16* d_out, const bf16* out, const float* lse,
                                  const bf16* qkv, const int* first, Dropout drop, AttentionHead at, float scale) {
    using Shape = AttentionTensorQuery<HS, heads>;
    using Tile = typename Shape::Tile;
    constexpr int I = Shape::I, J = Shape::keys / 8, rows = Shape::rows, threads = Shape::threads;
    bf16 *q = dynamic_shared<bf16>(), *d_o = q + Shape::first_d_out * HS, *pairs = d_o + rows * HS;
    float* row_lse = reinterpret_cast<float*>(pairs + Shape::pairs * HS);
    const AttentionQueryStatistics statistics{row_lse, row_lse + rows};
    // By way of lane: with threadIdx.x / warp_size the widest heads spill on sm_90.
    const int lane = threadIdx.x % warp_size, warp_row = int(threadIdx.x - lane) * Shape::warp_rows / warp_size;
    AttentionKeyWalk<Shape> walk(qkv, first, at, heads == Heads::exact ? HS : at.HS, pairs, warp_row);

    // Queries and their d_out stay; out is needed once.
    walk.copy_queries(q);
    TensorRows<Tile, I, Shape::keeps_queries> query(q, warp_row);
    if constexpr (Shape::queries_leave) {
        copy_async_commit();
        copy_async_wait<0>();
        __syncthreads();  // they are here
        query.load();
        __syncthreads();  // their place is free
    }
    const size_t out_offset = at.out(walk.b, walk.t0, walk.h);
    tensor_copy<Tile, rows, threads>(d_o, d_out + out_offset, at.out_row(), at.T - walk.t0, walk.columns);
    if constexpr (Shape::out_fits)
        tensor_copy<Tile, rows, threads>(pairs, out + out_offset, at.out_row(), at.T - walk.t0, walk.columns);
    copy_async_commit();
    copy_async_wait<0>();
    __syncthreads();
    const float kept_share = heads == Heads::exact ? 1 : 1 - drop.p;
    attention_query_statistics(statistics, delta, d_o, pairs, out, lse, walk, kept_share);
    __syncthreads();  // out is done with
    walk.begin();
    walk.copy_first();
    TensorRows<Tile, I, Shape::keeps_d_out> d_out_rows(d_o, warp_row);
    if constexpr (!Shape::queries_leave) query.load();
    d_out_rows.load();

    float d_query[I][HS / 8][4] = {};
    for (; walk.more(); walk.next()) {
        walk.arrive();
        if (!walk.seen()) continue;
        [[maybe_unused]] AttentionKept<I> kept;
        if constexpr (heads == Heads::any)
            kept.template of_queries<J>(AttentionDropout(drop), at, walk.b, walk.h, walk.t_warp, walk.s0);
        float score[I][J][4], d_prob[I][J][4];
        tensor_dots(score, query, walk.k());
        tensor_dots(d_prob, d_out_rows, walk.v());
        if constexpr (heads == Heads::any) kept.of(d_prob);
        walk.mask(score);
        attention_query_d_scores(score, d_prob, statistics, warp_row, scale);
        tensor_weighted_rows<Tile>(d_query, score, walk.k());
    }
    const float factor = heads == Heads::exact ? scale : scale / (1 - drop.p);
    tensor_store<Tile>(
        d_qkv + at.query(walk.b, walk.t_warp, walk.h), at.row(), at.T - walk.t_warp, q + warp_row * HS, d_query,
        [&](int, int) { return factor; }, walk.columns);
}
