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

// Up to so many rows, a matmul takes as long as reading the weights once. A row's result does not depend on the others.
constexpr int linear_few = 16;

inline void linear_few_rows(float* out, const float* inp, const float* weight, const float* bias, int N, int C,
                            int OC) {
#pragma omp parallel for schedule(static)
    for (int o = 0; o < OC; o += 4) {  // four rows of weights at a time, as loads take long
        const auto row = [=](int i) { return weight + size_t(std::min(o + i, OC - 1)) * C; };
        const float *w0 = row(0), *w1 = row(1), *w2 = row(2), *w3 = row(3);
        for (int n = 0; n < N; n++) {
            const float* x = inp + size_t(n) * C;
            float sum0 = 0, sum1 = 0, sum2 = 0, sum3 = 0;
#pragma omp simd reduction(+ : sum0, sum1, sum2, sum3)
            for (int c = 0; c < C; c++)
                sum0 += x[c] * w0[c], sum1 += x[c] * w1[c], sum2 += x[c] * w2[c], sum3 += x[c] * w3[c];
            const float sums[] = {sum0, sum1, sum2, sum3};
            for (int i = 0; i < std::min(4, OC - o); i++)
                out[size_t(n) * OC + o + i] = sums[i] + (bias ? bias[o + i] : 0);
        }
    }
}

template <class T>
void linear_forward(T* out, const T* inp, const T* weight, const T* bias, int N, int C, int OC, Cpu<T>) {
    if constexpr (std::is_same_v<T, float>)
        if (N <= linear_few) return linear_few_rows(out, inp, weight, bias, N, C, OC);
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
                     int OC, Cpu<T> on) {
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
