// QK-norm: RMSNorm of every query head and every key head, before RoPE (Qwen3); values pass through.
//
//   out[n,h] = rmsnorm(inp[n,h]) * (h < NH ? q_weight : k_weight)        d_inp = rmsnorm's gradient, assigned
//   d_q_weight, d_k_weight += the gains' gradients, summed over tokens and heads
//
//   inp, out (N,NH+2*NKV,HS)   q_weight, k_weight (HS)   rstd (N,NH+NKV)   d_inp may be d_out
#pragma once
#include <cmath>
#include "../device.h"

template <class T>
void qk_norm_forward(T* out, T* rstd, const T* inp, const T* q_weight, const T* k_weight, float eps, int N, int NH, int NKV, int HS,
                     Cpu<T>) {
    #pragma omp parallel for schedule(static)
    for (int n = 0; n < N; n++)
        for (int h = 0; h < NH + 2 * NKV; h++) {
            const size_t at = (size_t(n) * (NH + 2 * NKV) + h) * HS;
            if (h >= NH + NKV) { std::copy_n(inp + at, HS, out + at); continue; }
            const T* weight = h < NH ? q_weight : k_weight;
            T sum = 0;
            for (int i = 0; i < HS; i++) sum += inp[at + i] * inp[at + i];
            const T scale = T(1) / std::sqrt(sum / T(HS) + T(eps));
            for (int i = 0; i < HS; i++) out[at + i] = inp[at + i] * scale * weight[i];
            rstd[size_t(n) * (NH + NKV) + h] = scale;
        }
}

template <class T>
void qk_norm_backward(T* d_inp, T* d_q_weight, T* d_k_weight, const T* d_out, const T* inp, const T* q_weight, const T* k_weight,
                      const T* rstd, int N, int NH, int NKV, int HS, Cpu<T>) {
    #pragma omp parallel for schedule(static)
    for (int first = 0; first < HS; first += 16)     // the gains first: d_inp may overwrite d_out below
        for (int n = 0; n < N; n++)
            for (int h = 0; h < NH + NKV; h++) {
                const size_t at = (size_t(n) * (NH + 2 * NKV) + h) * HS;
                T* d_weight = h < NH ? d_q_weight : d_k_weight;
                for (int i = first; i < std::min(first + 16, HS); i++)
                    d_weight[i] += d_out[at + i] * inp[at + i] * rstd[size_t(n) * (NH + NKV) + h];
            }
    #pragma omp parallel for schedule(static)
    for (int n = 0; n < N; n++)
        for (int h = 0; h < NH + 2 * NKV; h++) {
            const size_t at = (size_t(n) * (NH + 2 * NKV) + h) * HS;
            if (h >= NH + NKV) { std::copy_n(d_out + at, HS, d_inp + at); continue; }
            const T* weight = h < NH ? q_weight : k_weight;
            const T scale = rstd[size_t(n) * (NH + NKV) + h];
            T dot = 0;
            for (int i = 0; i < HS; i++) dot += d_out[at + i] * weight[i] * inp[at + i];
            const T mean = dot * scale / T(HS);
            for (int i = 0; i < HS; i++) d_inp[at + i] = scale * (d_out[at + i] * weight[i] - inp[at + i] * scale * mean);
        }
}
