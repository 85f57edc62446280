// QK-norm: RMSNorm of every query head and every key head, before RoPE (Qwen3); values pass through.
//
//   out[n,h] = rmsnorm(inp[n,h]) * (h < NH ? q_weight : k_weight)        d_inp = rmsnorm's gradient, assigned
//   d_q_weight, d_k_weight += the weights' gradients, summed over tokens and heads
//
//   inp, out (N,NH+2*NKV,HS)   q_weight, k_weight (HS)   rstd (N,NH+NKV)   d_inp may be d_out
#pragma once
#include <cmath>
#include "parallel.h"

template <class T>
void qk_norm_forward(T* out, T* rstd, const T* inp, const T* q_weight, const T* k_weight, float eps, int N, int NH,
                     int NKV, int HS, Cpu<T>) {
    parallel_for(N, [=](int n) {
        for (int h = 0; h < NH + 2 * NKV; h++) {
            const T* x = inp + (size_t(n) * (NH + 2 * NKV) + h) * HS;
            T* y = out + (size_t(n) * (NH + 2 * NKV) + h) * HS;
            if (h >= NH + NKV) {
                std::copy_n(x, HS, y);
                continue;
            }
            const T* weight = h < NH ? q_weight : k_weight;
            T sum = 0;
            for (int i = 0; i < HS; i++) sum += x[i] * x[i];
            const T scale = T(1) / std::sqrt(sum / T(HS) + T(eps));
#pragma omp simd
            for (int i = 0; i < HS; i++) y[i] = x[i] * scale * weight[i];
            rstd[size_t(n) * (NH + NKV) + h] = scale;
        }
    });
}

template <class T>
void qk_norm_backward(T* d_inp, T* d_q_weight, T* d_k_weight, const T* d_out, const T* inp, const T* q_weight,
                      const T* k_weight, const T* rstd, int N, int NH, int NKV, int HS, Cpu<T> on) {
    const T* sums = sum_over_rows(N, 2 * HS, on, [=](int first, int last, T* sum) {
        for (int n = first; n < last; n++)
            for (int h = 0; h < NH + 2 * NKV; h++) {
                const size_t at = (size_t(n) * (NH + 2 * NKV) + h) * HS;
                const T *x = inp + at, *d = d_out + at;
                T *d_x = d_inp + at, *d_weight = h < NH ? sum : sum + HS, dot = 0;
                if (h >= NH + NKV) {
                    std::copy_n(d, HS, d_x);
                    continue;
                }
                const T *weight = h < NH ? q_weight : k_weight, scale = rstd[size_t(n) * (NH + NKV) + h];
                for (int i = 0; i < HS; i++) dot += d[i] * weight[i] * x[i];
                const T mean = dot * scale / T(HS);
#pragma omp simd
                for (int i = 0; i < HS; i++) {
                    const T norm = x[i] * scale, g = d[i];  // d_x may be d
                    d_x[i] = scale * (g * weight[i] - norm * mean);
                    d_weight[i] += g * norm;
                }
            }
    });
    put_sums(d_q_weight, sums, HS, on);
    put_sums(d_k_weight, sums + HS, HS, on);
}
