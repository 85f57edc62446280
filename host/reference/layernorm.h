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
#pragma once
#include <cmath>
#include "parallel.h"

// One token.
template <class T>
void layernorm_row(T* y, T& mean, T& rstd, const T* x, const T* weight, const T* bias, float eps, int C) {
    T sum = 0, squares = 0;
    for (int c = 0; c < C; c++) sum += x[c];
    const T centre = sum / T(C);
    for (int c = 0; c < C; c++) squares += (x[c] - centre) * (x[c] - centre);
    const T scale = T(1) / std::sqrt(squares / T(C) + T(eps));
    if (bias) {
#pragma omp simd
        for (int c = 0; c < C; c++) y[c] = (x[c] - centre) * scale * weight[c] + bias[c];
    } else {
#pragma omp simd
        for (int c = 0; c < C; c++) y[c] = (x[c] - centre) * scale * weight[c];
    }
    mean = centre;
    rstd = scale;
}

template <class T>
void layernorm_forward(T* out, T* mean, T* rstd, const T* inp, const T* weight, const T* bias, float eps, int N, int C,
                       Cpu<T>) {
    parallel_for(N, [=](int n) {
        layernorm_row(out + size_t(n) * C, mean[n], rstd[n], inp + size_t(n) * C, weight, bias, eps, C);
    });
}

// d_bias and d_inp_bias may be null.
template <class T>
void layernorm_backward(T* d_inp, T* d_weight, T* d_bias, T* d_inp_bias, const T* d_out, const T* inp, const T* weight,
                        const T* mean, const T* rstd, int N, int C, Cpu<T> on) {
    const T* sums = sum_over_rows(N, 3 * C, on, [=](int first, int last, T* sum) {
        for (int n = first; n < last; n++) {
            const T *x = inp + size_t(n) * C, *d = d_out + size_t(n) * C, scale = rstd[n], centre = mean[n];
            T *d_x = d_inp + size_t(n) * C, sum_g = 0, dot = 0;
            for (int c = 0; c < C; c++) {
                const T g = d[c] * weight[c];
                sum_g += g;
                dot += g * (x[c] - centre);
            }
            const T mean_g = sum_g / T(C), mean_g_norm = dot * scale / T(C);
#pragma omp simd
            for (int c = 0; c < C; c++) {
                const T norm = (x[c] - centre) * scale;
                d_x[c] += scale * (d[c] * weight[c] - mean_g - norm * mean_g_norm);
                sum[c] += d[c] * norm;
                sum[C + c] += d[c];
                sum[2 * C + c] += d_x[c];
            }
        }
    });
    put_sums(d_weight, sums, C, on);
    if (d_bias) put_sums(d_bias, sums + C, C, on);
    if (d_inp_bias) put_sums(d_inp_bias, sums + 2 * C, C, on);
}
