// QK-norm, then RoPE: the definition of the fused kernels.
//   inp, out (N,NH+2*NKV,HS)   q_weight, k_weight (HS)   rstd (N,NH+NKV)   position (N)   cos, sin (T,HS/2)
//   d_inp may be d_out
#pragma once
#include "qk_norm.h"
#include "rope.h"

template <class T>
void qk_norm_rope_forward(T* out, T* rstd, const T* inp, const T* q_weight, const T* k_weight, const int* position,
                          const T* cos, const T* sin, RopePairs pairs, float eps, int N, int NH, int NKV, int HS,
                          Cpu<T> on) {
    qk_norm_forward(out, rstd, inp, q_weight, k_weight, eps, N, NH, NKV, HS, on);
    rope_forward(out, position, cos, sin, pairs, N, NH, NKV, HS, on);
}

template <class T>
void qk_norm_rope_backward(T* d_inp, T* d_q_weight, T* d_k_weight, const T* d_out, const T* inp, const T* q_weight,
                           const T* k_weight, const T* rstd, const int* position, const T* cos, const T* sin,
                           RopePairs pairs, int N, int NH, int NKV, int HS, Cpu<T> on) {
    if (d_inp != d_out) std::copy_n(d_out, size_t(N) * (NH + 2 * NKV) * HS, d_inp);
    rope_backward(d_inp, position, cos, sin, pairs, N, NH, NKV, HS, on);
    qk_norm_backward(d_inp, d_q_weight, d_k_weight, d_inp, inp, q_weight, k_weight, rstd, N, NH, NKV, HS, on);
}
