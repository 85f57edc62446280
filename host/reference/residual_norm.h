// Residual and the norm after it:  sum = inp + branch,   out = norm(sum).      sum, out, inp, branch (N,C)
// The definition of the fused kernels; backward is the norm's own.
#pragma once
#include "layernorm.h"
#include "residual.h"
#include "rmsnorm.h"

template <class T>
void residual_layernorm_forward(T* sum, T* out, T* mean, T* rstd, const T* inp, const T* branch, const T* weight,
                                const T* bias, float eps, int N, int C, Cpu<T>) {
    parallel_for(N, [=](int n) {
        const size_t row = size_t(n) * C;
        residual_row(sum + row, inp + row, branch + row, C);
        layernorm_row(out + row, mean[n], rstd[n], sum + row, weight, bias, eps, C);
    });
}

template <class T>
void residual_rmsnorm_forward(T* sum, T* out, T* rstd, const T* inp, const T* branch, const T* weight, float eps, int N,
                              int C, Cpu<T>) {
    parallel_for(N, [=](int n) {
        const size_t row = size_t(n) * C;
        residual_row(sum + row, inp + row, branch + row, C);
        rmsnorm_row(out + row, rstd[n], sum + row, weight, eps, C);
    });
}
