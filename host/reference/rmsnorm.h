// RMSNorm: scale every token to unit root-mean-square, then every channel by a learned weight (Zhang & Sennrich 2019).
//
//   rstd[n]   = 1 / sqrt(mean_c(inp[n,c]^2) + eps)        norm[n,c] = inp[n,c] * rstd[n]
//   out[n,c]  = norm[n,c] * weight[c]
//
//   d_weight[c] += sum_n d_out[n,c] * norm[n,c]
//   d_inp[n,c]  += rstd[n] * (g[n,c] - norm[n,c] * mean_c(g * norm)),   g = d_out * weight
//
//   inp, out (N,C)   weight (C)   rstd (N)
#pragma once
#include <cmath>
#include "parallel.h"

// One token.
template <class T>
void rmsnorm_row(T* y, T& rstd, const T* x, const T* weight, float eps, int C) {
    T sum = 0;
    for (int c = 0; c < C; c++) sum += x[c] * x[c];
    const T scale = T(1) / std::sqrt(sum / T(C) + T(eps));
#pragma omp simd
    for (int c = 0; c < C; c++) y[c] = x[c] * scale * weight[c];
    rstd = scale;
}

template <class T>
void rmsnorm_forward(T* out, T* rstd, const T* inp, const T* weight, float eps, int N, int C, Cpu<T>) {
    parallel_for(N, [=](int n) { rmsnorm_row(out + size_t(n) * C, rstd[n], inp + size_t(n) * C, weight, eps, C); });
}

template <class T>
void rmsnorm_backward(T* d_inp, T* d_weight, const T* d_out, const T* inp, const T* weight, const T* rstd, int N, int C,
                      Cpu<T> on) {
    const T* sums = sum_over_rows(N, C, on, [=](int first, int last, T* sum) {
        for (int n = first; n < last; n++) {
            const T *x = inp + size_t(n) * C, *d = d_out + size_t(n) * C, scale = rstd[n];
            T *d_x = d_inp + size_t(n) * C, dot = 0;
            for (int c = 0; c < C; c++) dot += d[c] * weight[c] * x[c];
            const T mean = dot * scale / T(C);
#pragma omp simd
            for (int c = 0; c < C; c++) {
                const T norm = x[c] * scale;
                d_x[c] += scale * (d[c] * weight[c] - norm * mean);
                sum[c] += d[c] * norm;
            }
        }
    });
    put_sums(d_weight, sums, C, on);
}
