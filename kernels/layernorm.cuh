// LayerNorm: centre every token and scale it to unit variance, then a learned weight and shift (Ba et al. 2016).
//
//   mean[n] = mean_c(inp[n,c])   rstd[n] = 1 / sqrt(mean_c((inp[n,c] - mean[n])^2) + eps)   norm = (inp - mean) * rstd
//   out[n,c] = norm[n,c] * weight[c] + bias[c]
//
//   d_weight[c] += sum_n d_out[n,c] * norm[n,c]           d_bias[c] += sum_n d_out[n,c]
//   d_inp[n,c]  += rstd[n] * (g - mean_c(g) - norm * mean_c(g * norm)),   g = d_out * weight
//   d_inp_bias[c] += sum_n d_inp[n,c] as it then is: for a bias that was added to inp before
//
//   inp, out (N,C)   weight (C)   bias (C) or null   mean, rstd (N)
//
// A warp, or for C > 1024 a block, owns a row and keeps it in registers (row.cuh).
#pragma once
#include "host/reference/layernorm.h"
#include "kernels/tools/row.cuh"

// What follows once a thread has its part of the row, of the weight and of the shift.
template <int W, int K, class T>
__device__ void layernorm_row(T* out, float* mean, float* rstd, Vec<W> (&x)[K], const Raw<W, T> (&weight)[K],
                              const Raw<W, T> (&bias)[K], float eps, int C) {
    float sum = 0, squares = 0;
    for (int k = 0; k < K; k++)
        for (int i = 0; i < W; i++) sum += x[k][i];
    const float centre = row_sum(sum) / C;
    for (int k = 0; k < K; k++)
        if (row_channel<W>(k) < C)
            for (int i = 0; i < W; i++) x[k][i] -= centre, squares += x[k][i] * x[k][i];
    const float scale = rsqrtf(row_sum(squares) / C + eps);
    if (threadIdx.x == 0) *mean = centre, *rstd = scale;

    for (int k = 0; k < K; k++) {
        const Vec<W> w = floats(weight[k]), b = floats(bias[k]);
        for (int i = 0; i < W; i++) x[k][i] = x[k][i] * scale * w[i] + b[i];
    }
    store_row(out, x, C);
}

template <int W, int K, class T>
__global__ void __launch_bounds__(row_threads)
    layernorm_forward_kernel(T* out, float* mean, float* rstd, const T* inp, const T* weight, const T* bias, float eps,
                             int N, int C) {
    const int n = blockIdx.x * blockDim.y + threadIdx.y;
    if (n >= N) return;  // the whole team
    Raw<W, T> inp_row[K], w[K], b[K];
    load_row(inp_row, inp + size_t(n) * C, C);
    load_row(w, weight, C);
    load_row(b, bias, bias ? C : 0);
    Vec<W> x[K];
    row_floats(x, inp_row);
    layernorm_row(out + size_t(n) * C, mean + n, rstd + n, x, w, b, eps, C);
}

// A team walks over rows and keeps its share of d_weight and d_bias in registers. That of d_inp_bias is in shared
// memory: the registers are full. A block leaves its own in partial (2, gridDim.x, C) and inp_bias_partial (gridDim.x,
// C), which may be null. No atomics: same inputs, same GPU, same bits.
template <int W, int K, class T>
__global__ void __launch_bounds__(row_threads)
    layernorm_backward_kernel(T* d_inp, float* partial, float* inp_bias_partial, const T* d_out, const T* inp,
                              const T* weight, const float* mean, const float* rstd, int N, int C) {
    Vec<W> d_weight[K] = {}, d_bias[K] = {};
    if (inp_bias_partial) store_row(dynamic_shared<float>() + threadIdx.y * C, d_bias, C);  // zeros
    for (int n = blockIdx.x * blockDim.y + threadIdx.y; n < N; n += gridDim.x * blockDim.y) {
        const size_t row = size_t(n) * C;
        const float centre = mean[n], scale = rstd[n];
        Vec<W> norm[K], g[K];
        load_row(norm, inp + row, C);
        load_row(g, d_out + row, C);
        const RowByTwos<W, K, T> weights(weight, C), before(d_inp + row, C);
        // The registers are full, so the next row is prefetched into the L2 cache.
        if (const int next = n + gridDim.x * blockDim.y; next < N) {
            prefetch_row<W, K>(inp + size_t(next) * C, C);
            prefetch_row<W, K>(d_out + size_t(next) * C, C);
            prefetch_row<W, K>(d_inp + size_t(next) * C, C);
        }

        // Both means of the row, and its share of the weights' gradients: nothing beyond the row, where g is 0.
        Vec<2> sums = {};
        weights.each([&](int k, const Vec<W>& w) {
            for (int i = 0; i < W; i++) {
                norm[k][i] = (norm[k][i] - centre) * scale;
                d_weight[k][i] += g[k][i] * norm[k][i];
                d_bias[k][i] += g[k][i];
                g[k][i] *= w[i];
                sums[0] += g[k][i];
                sums[1] += g[k][i] * norm[k][i];
            }
        });
        sums = row_sum(sums);
        const float mean_g = sums[0] / C, mean_g_norm = sums[1] / C;
        before.each([&](int k, Vec<W> d) {
            for (int i = 0; i < W; i++) d[i] += scale * (g[k][i] - mean_g - norm[k][i] * mean_g_norm);
            if (const int c = row_channel<W>(k); c < C) {
                store<W>(d_inp + row + c, d);
                if (!inp_bias_partial) return;
                float* const d_inp_bias = dynamic_shared<float>() + threadIdx.y * C + c;
                const Vec<W> sum = load<W>(d_inp_bias);
                for (int i = 0; i < W; i++) d[i] += sum[i];
                store<W>(d_inp_bias, d);
            }
        });
    }
    if (inp_bias_partial) store_shared_sum(inp_bias_partial + size_t(blockIdx.x) * C, dynamic_shared<float>(), C);
    store_row_sum(partial + size_t(blockIdx.x) * C, d_weight, C);
    store_row_sum(partial + size_t(gridDim.x + blockIdx.x) * C, d_bias, C);
}

template <class T>
void layernorm_forward(T* out, float* mean, float* rstd, const T* inp, const T* weight, const T* bias, float eps, int N,
                       int C, Gpu<T> on) {
    by_parameter("layernorm", C, {out, inp, weight, bias}, [&](auto W, auto K) {
        const dim3 block = row_block<W, K>(C);
        launch(layernorm_forward_kernel<W, K, T>, ceil_div(N, block.y), block, 0, on, out, mean, rstd, inp, weight,
               bias, eps, N, C);
    });
}

// d_bias and d_inp_bias may be null.
template <class T>
void layernorm_backward(T* d_inp, float* d_weight, float* d_bias, float* d_inp_bias, const T* d_out, const T* inp,
                        const T* weight, const float* mean, const float* rstd, int N, int C, Gpu<T> on) {
    by_parameter("layernorm", C, {d_inp, d_out, inp, weight}, [&](auto W, auto K) {
        const dim3 block = row_block<W, K>(C);
        const auto kernel = layernorm_backward_kernel<W, K, T>;
        const size_t shared = d_inp_bias ? block.y * size_t(C) * sizeof(float) : row_shared(block, C);
        const int blocks = row_blocks(kernel, N, block, shared, on);
        float* partial = on.template scratch<float>(3 * size_t(blocks) * C);
        float* inp_bias_partial = d_inp_bias ? partial + 2 * size_t(blocks) * C : nullptr;
        launch(kernel, blocks, block, shared, on, d_inp, partial, inp_bias_partial, d_out, inp, weight, mean, rstd, N,
               C);
        column_sum(d_weight, partial, blocks, C, on);
        if (d_bias) column_sum(d_bias, partial + size_t(blocks) * C, blocks, C, on);
        if (d_inp_bias) column_sum(d_inp_bias, inp_bias_partial, blocks, C, on);
    });
}
