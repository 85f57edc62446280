// Residual and the norm after it:  sum = inp + branch,   out = norm(sum).      sum, out, inp, branch (N,C)
// The definition of the fused kernels; backward is the norm's own.
#pragma once
#include "layernorm.h"
#include "residual.h"
#include "rmsnorm.h"

template <class T>
void residual_layernorm_forward(T* sum, T* out, T* mean, T* rstd, const T* inp, const T* branch, const T* weight,
                                const T* bias, float eps, int N, int C, Cpu<T> on) {
    residual_forward(sum, inp, branch, size_t(N) * C, on);
    layernorm_forward(out, mean, rstd, sum, weight, bias, eps, N, C, on);
}

template <class T>
void residual_rmsnorm_forward(T* sum, T* out, T* rstd, const T* inp, const T* branch, const T* weight, float eps, int N,
                              int C, Cpu<T> on) {
    residual_forward(sum, inp, branch, size_t(N) * C, on);
    rmsnorm_forward(out, rstd, sum, weight, eps, N, C, on);
}
