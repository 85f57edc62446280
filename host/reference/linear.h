// Linear: out = inp . weight^T + bias
//
//   d_inp     = d_out . weight
//   d_weight += d_out^T . inp               (= with Into::assign, as for all gradients of weights but the embedding's)
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
    parallel_for((OC + 3) / 4, [=](int four) {  // rows of weights at a time, as loads take long
        const int o = 4 * four;
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
    });
}

// `finish(i, n)` makes, of elements i .. i+n-1 of out, what follows them, while they are in cache.
template <class T, class Finish>
void linear_forward(T* out, const T* inp, const T* weight, const T* bias, int N, int C, int OC, Cpu<T>, Finish finish) {
    if constexpr (std::is_same_v<T, float>)
        if (N <= linear_few) {
            linear_few_rows(out, inp, weight, bias, N, C, OC);
            return finish(0, size_t(N) * OC);
        }
    parallel_gemm(Op::none, Op::transpose, N, OC, C, inp, C, weight, C, Into::assign, out, OC,
                  [=](int row, int column, int rows, int columns) {
                      for (int n = row; n < row + rows; n++) {
                          T* y = out + size_t(n) * OC;
                          if (bias)
                              for (int o = column; o < column + columns; o++) y[o] += bias[o];
                          finish(size_t(n) * OC + column, size_t(columns));
                      }
                  });
}

template <class T>
void linear_forward(T* out, const T* inp, const T* weight, const T* bias, int N, int C, int OC, Cpu<T> on) {
    linear_forward(out, inp, weight, bias, N, C, OC, on, [](size_t, size_t) {});
}

// The sum of d_out's rows, as a loop over blocks of columns.
template <class T>
struct BiasGradient {
    T* d_bias;
    const T* d_out;
    int N, OC;
    Into into;

    static constexpr int owned = 64;
    int count() const { return d_bias ? (OC + owned - 1) / owned : 0; }
    void operator()(int block) const {
        const int first = block * owned, width = std::min(owned, OC - first);
        T sum[owned] = {};
        for (int n = 0; n < N; n++)
            for (int o = 0; o < width; o++) sum[o] += d_out[size_t(n) * OC + first + o];
        for (int o = 0; o < width; o++) d_bias[first + o] = into == Into::add ? d_bias[first + o] + sum[o] : sum[o];
    }
};

// d_bias may be null. `finish(i, n)` makes, of elements i .. i+n-1 of d_inp, what follows them in backward.
template <class T, class Finish>
void linear_backward(T* d_inp, T* d_weight, T* d_bias, const T* d_out, const T* inp, const T* weight, int N, int C,
                     int OC, Cpu<T> on, Finish finish) {
    const auto finish_rows = [=](int row, int column, int rows, int columns) {
        for (int n = row; n < row + rows; n++) finish(size_t(n) * C + column, size_t(columns));
    };
    const auto nothing = [](int, int, int, int) {};
    parallel_together(
        TiledProduct{Op::none, Op::none, N, C, OC, d_out, OC, weight, C, Into::assign, d_inp, C, finish_rows},
        TiledProduct{Op::transpose, Op::none, OC, C, N, d_out, OC, inp, C, on.into, d_weight, C, nothing},
        BiasGradient<T>{d_bias, d_out, N, OC, on.into});
}

template <class T>
void linear_backward(T* d_inp, T* d_weight, T* d_bias, const T* d_out, const T* inp, const T* weight, int N, int C,
                     int OC, Cpu<T> on) {
    linear_backward(d_inp, d_weight, d_bias, d_out, inp, weight, N, C, OC, on, [](size_t, size_t) {});
}

// One of the two gradients alone.
template <class T>
void linear_backward_input(T* d_inp, const T* d_out, const T* weight, int N, int C, int OC, Cpu<T>) {
    parallel_gemm(Op::none, Op::none, N, C, OC, d_out, OC, weight, C, Into::assign, d_inp, C,
                  [](int, int, int, int) {});
}

// d_bias may be null.
template <class T>
void linear_backward_weight(T* d_weight, T* d_bias, const T* d_out, const T* inp, int N, int C, int OC, Cpu<T> on) {
    const auto nothing = [](int, int, int, int) {};
    parallel_together(TiledProduct{Op::transpose, Op::none, OC, C, N, d_out, OC, inp, C, on.into, d_weight, C, nothing},
                      BiasGradient<T>{d_bias, d_out, N, OC, on.into});
}
