// RMSNorm: scale every token to unit root-mean-square, then every channel by a learned weight (Zhang & Sennrich 2019).
//
//   rstd[n]   = 1 / sqrt(mean_c(inp[n,c]^2) + eps)        norm[n,c] = inp[n,c] * rstd[n]
//   out[n,c]  = norm[n,c] * weight[c]
//
//   d_weight[c] += sum_n d_out[n,c] * norm[n,c]
//   d_inp[n,c]  += rstd[n] * (g[n,c] - norm[n,c] * mean_c(g * norm)),   g = d_out * weight
//
//   inp, out (N,C)   weight (C)   rstd (N)
//
// A warp, or for C > 1024 a block, owns a row and keeps it in registers (row.cuh).
#pragma once
#include "host/reference/rmsnorm.h"
#include "kernels/tools/row.cuh"

// What follows once a thread has its part of the row, and of the weight.
template <int W, int K, class T>
__device__ void rmsnorm_row(T* out, float* rstd, Vec<W> (&x)[K], const Raw<W, T> (&weight)[K], float eps, int C) {
    float squares = 0;
    for (int k = 0; k < K; k++)
        for (int i = 0; i < W; i++) squares += x[k][i] * x[k][i];
    const float scale = rsqrtf(row_sum(squares) / C + eps);
    if (threadIdx.x == 0) *rstd = scale;

    for (int k = 0; k < K; k++) {
        const Vec<W> w = floats(weight[k]);
        for (int i = 0; i < W; i++) x[k][i] *= scale * w[i];
    }
    store_row(out, x, C);
}

template <int W, int K, class T>
__global__ void __launch_bounds__(row_threads)
    rmsnorm_forward_kernel(T* out, float* rstd, const T* inp, const T* weight, float eps, int N, int C) {
    const int n = blockIdx.x * blockDim.y + threadIdx.y;
    if (n >= N) return;  // the whole team
    Raw<W, T> inp_row[K], w[K];
    load_row(inp_row, inp + size_t(n) * C, C);
    load_row(w, weight, C);
    Vec<W> x[K];
    row_floats(x, inp_row);
    rmsnorm_row(out + size_t(n) * C, rstd + n, x, w, eps, C);
}

// A team walks over rows and keeps its share of d_weight in registers; a block leaves its own in partial (gridDim.x,
// C).
template <int W, int K, class T>
__global__ void __launch_bounds__(row_threads)
    rmsnorm_backward_kernel(T* d_inp, float* partial, const T* d_out, const T* inp, const T* weight, const float* rstd,
                            int N, int C) {
    Vec<W> d_weight[K] = {};
    for (int n = blockIdx.x * blockDim.y + threadIdx.y; n < N; n += gridDim.x * blockDim.y) {
        const size_t row = size_t(n) * C;
        const float scale = rstd[n];
        Raw<W, T> inp_row[K], d_out_row[K], w[K], d_row[K];
        load_row(inp_row, inp + row, C);
        load_row(d_out_row, d_out + row, C);
        load_row(w, weight, C);
        // The registers are full, so the next row is prefetched into the L2 cache.
        if (const int next = n + gridDim.x * blockDim.y; next < N) {
            prefetch_row<W, K>(inp + size_t(next) * C, C);
            prefetch_row<W, K>(d_out + size_t(next) * C, C);
            prefetch_row<W, K>(d_inp + size_t(next) * C, C);
        }

        float dot = 0;
        Vec<W> norm[K], g[K];
        for (int k = 0; k < K; k++) {
            norm[k] = floats(inp_row[k]), g[k] = floats(d_out_row[k]);
            const Vec<W> factor = floats(w[k]);
            for (int i = 0; i < W; i++) {
                norm[k][i] *= scale;
                d_weight[k][i] += g[k][i] * norm[k][i];
                g[k][i] *= factor[i];
                dot += g[k][i] * norm[k][i];
            }
        }
        load_row(d_row, d_inp + row, C);
        const float mean = row_sum(dot) / C;

        Vec<W> d[K];
        for (int k = 0; k < K; k++) {
            d[k] = floats(d_row[k]);
            for (int i = 0; i < W; i++) d[k][i] += scale * (g[k][i] - norm[k][i] * mean);
        }
        store_row(d_inp + row, d, C);
    }
    store_row_sum(partial + size_t(blockIdx.x) * C, d_weight, C);
}

template <class T>
void rmsnorm_forward(T* out, float* rstd, const T* inp, const T* weight, float eps, int N, int C, Gpu<T> on) {
    by_parameter("rmsnorm", C, {out, inp, weight}, [&](auto W, auto K) {
        const dim3 block = row_block<W, K>(C);
        launch(rmsnorm_forward_kernel<W, K, T>, ceil_div(N, block.y), block, 0, on, out, rstd, inp, weight, eps, N, C);
    });
}

template <class T>
void rmsnorm_backward(T* d_inp, float* d_weight, const T* d_out, const T* inp, const T* weight, const float* rstd,
                      int N, int C, Gpu<T> on) {
    by_parameter("rmsnorm", C, {d_inp, d_out, inp, weight}, [&](auto W, auto K) {
        const dim3 block = row_block<W, K>(C);
        const auto kernel = rmsnorm_backward_kernel<W, K, T>;
        const size_t shared = row_shared(block, C);
        const int blocks = row_blocks(kernel, N, block, shared, on);
        float* partial = on.template scratch<float>(size_t(blocks) * C);
        launch(kernel, blocks, block, shared, on, d_inp, partial, d_out, inp, weight, rstd, N, C);
        column_sum(d_weight, partial, blocks, C, on);
    });
}
