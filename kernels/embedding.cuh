// Embedding: a row of a table for the token, plus a row of another for its position.
//
//   out[n] = wte[token[n]] + wpe[position[n]]            d_wte[token[n]] += d_out[n]   d_wpe[position[n]] += d_out[n]
//
//   out (N,C)   wte (V,C)   wpe (T,C) or null   token, position (N)
//
// Forward, a warp owns a token. Backward, the tokens are sorted (sort.cuh), so that the rows of d_out that belong to
// one row of a table stand in a run, and a warp sums a chunk of 32 of them, in order, over 32 * W channels. Where a run
// began in an earlier chunk, its share goes to `heads`, and a second kernel adds up the heads of each run: no row has
// two writers.
#pragma once
#include "host/reference/embedding.h"
#include "kernels/tools/sort.cuh"

constexpr int embedding_warps = 4, embedding_chunk = 32;

template <int W, class T>
__global__ void embedding_forward_kernel(T* out, const int* token, const int* position, const T* wte, const T* wpe,
                                         int N, int C) {
    const int n = blockIdx.x * embedding_warps + threadIdx.y;
    if (n >= N) return;
    const T* word = wte + size_t(token[n]) * C;
    const T* place = wpe ? wpe + size_t(position[n]) * C : nullptr;
    for (int c = threadIdx.x * W; c < C; c += warp_size * W) {
        Vec<W> x = load<W>(word + c);
        const Vec<W> y = place ? load<W>(place + c) : Vec<W>{};
        for (int i = 0; i < W; i++) x[i] += y[i];
        store<W>(out + size_t(n) * C + c, x);
    }
}

template <int W>
__device__ void embedding_add(float* row, const Vec<W>& sum) {
    Vec<W> x = load<W>(row);
    for (int i = 0; i < W; i++) x[i] += sum[i];
    store<W>(row, x);
}

template <int W, class T>
__global__ void embedding_chunk_kernel(float* d_table, float* heads, const T* d_out, const int* row, const int* order,
                                       int N, int C) {
    const int chunk = blockIdx.x * embedding_warps + threadIdx.y, c = (blockIdx.y * warp_size + threadIdx.x) * W;
    int i = chunk * embedding_chunk;
    if (i >= N || c >= C) return;
    int current = row[order[i]];
    bool head = i > 0 && row[order[i - 1]] == current;  // the run began before this chunk
    Vec<W> sum = {};
    const auto flush = [&] {
        if (head) store<W>(heads + size_t(chunk) * C + c, sum);
        else embedding_add(d_table + size_t(current) * C + c, sum);
    };
    for (const int end = std::min(i + embedding_chunk, N); i < end; i++) {
        const int n = order[i];
        if (row[n] != current) {
            flush();
            current = row[n];
            head = false;
            sum = {};
        }
        const Vec<W> x = load<W>(d_out + size_t(n) * C + c);
        for (int k = 0; k < W; k++) sum[k] += x[k];
    }
    flush();
}

// If a run of equal rows crosses chunks, the warp of its first continuing chunk sums the run's `heads` in order.
template <int W>
__global__ void embedding_heads_kernel(float* d_table, const float* heads, const int* row, const int* order, int N,
                                       int C) {
    const int chunk = blockIdx.x * embedding_warps + threadIdx.y, c = (blockIdx.y * warp_size + threadIdx.x) * W;
    const int begin = chunk * embedding_chunk;
    if (chunk == 0 || begin >= N || c >= C) return;
    const int current = row[order[begin]];
    const auto comes_from = [&](int i) { return row[order[i - 1]] == current; };
    if (!comes_from(begin)) return;                                // no head
    if (chunk > 1 && comes_from(begin - embedding_chunk)) return;  // an earlier chunk's run
    Vec<W> sum = {};
    for (int i = begin; i < N && row[order[i]] == current; i += embedding_chunk) {
        const Vec<W> x = load<W>(heads + size_t(i / embedding_chunk) * C + c);
        for (int k = 0; k < W; k++) sum[k] += x[k];
    }
    embedding_add(d_table + size_t(current) * C + c, sum);
}

template <class T>
void embedding_forward(T* out, const int* token, const int* position, const T* wte, const T* wpe, int N, int C,
                       Gpu<T> on) {
    by_width(C, {out, wte, wpe}, [&](auto W) {
        launch(embedding_forward_kernel<W, T>, ceil_div(N, embedding_warps), dim3(warp_size, embedding_warps), 0, on,
               out, token, position, wte, wpe, N, C);
    });
}

// d_table[row[n]] += d_out[n]
template <class T>
void embedding_sum(float* d_table, const T* d_out, const int* row, int rows, int N, int C, const Gpu<T>& on) {
    const int chunks = ceil_div(N, embedding_chunk);
    float* heads = on.template scratch<float>(size_t(chunks) * C + sort_scratch(N));
    const int* order = sort_keys(row, rows, N, reinterpret_cast<int*>(heads + size_t(chunks) * C), on);
    by_width(C, {d_table, d_out}, [&](auto W) {
        const dim3 grid(ceil_div(chunks, embedding_warps), ceil_div(C, warp_size * W)),
            block(warp_size, embedding_warps);
        launch(embedding_chunk_kernel<W, T>, grid, block, 0, on, d_table, heads, d_out, row, order, N, C);
        launch(embedding_heads_kernel<W>, grid, block, 0, on, d_table, heads, row, order, N, C);
    });
}

// d_wpe may be null.
template <class Real>
void embedding_backward(float* d_wte, float* d_wpe, const Real* d_out, const int* token, const int* position, int N,
                        int C, int V, int T, Gpu<Real> on) {
    embedding_sum(d_wte, d_out, token, V, N, C, on);
    if (d_wpe) embedding_sum(d_wpe, d_out, position, T, N, C, on);
}
