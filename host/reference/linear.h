// Linear: out = inp . weight^T + bias
//
//   d_inp     = d_out . weight
//   d_weight += d_out^T . inp                 (= with Into::assign, as for all gradients of weights but the embedding's)
//   d_bias   += sum over n of d_out[n]
//
//   inp (N,C)   weight (OC,C)   bias (OC) or null   out (N,OC)
#pragma once
#include "gemm.h"
#include "parallel.h"

template <class T>
void linear_forward(T* out, const T* inp, const T* weight, const T* bias, int N, int C, int OC, Cpu<T>) {
    parallel_gemm(Op::none, Op::transpose, N, OC, C, inp, C, weight, C, Into::assign, out, OC,
                  [=](int row, int column, int rows, int columns) {
        if (!bias) return;
        for (int n = row; n < row + rows; n++)
            for (int o = column; o < column + columns; o++) out[size_t(n) * OC + o] += bias[o];
    });
}

// d_bias may be null.
template <class T>
void linear_backward(T* d_inp, T* d_weight, T* d_bias, const T* d_out, const T* inp, const T* weight, int N, int C,
                     int OC,
                     Cpu<T> on) {
    const auto nothing = [](int, int, int, int) {};
    parallel_gemm(Op::none, Op::none, N, C, OC, d_out, OC, weight, C, Into::assign, d_inp, C, nothing);
    parallel_gemm(Op::transpose, Op::none, OC, C, N, d_out, OC, inp, C, on.into, d_weight, C, nothing);
    if (!d_bias) return;
    const T* sums = sum_over_rows(N, OC, on, [=](int first, int last, T* sum) {
        for (int n = first; n < last; n++)
            for (int o = 0; o < OC; o++) sum[o] += d_out[size_t(n) * OC + o];
    });
    put_sums(d_bias, sums, OC, on);
}
