// GELU, tanh approximation (Hendrycks & Gimpel 2016):  out = x (1 + tanh(u)) / 2,   u = sqrt(2/pi) (x + 0.044715 x^3)
//
//   (1 + tanh(u)) / 2 = sigmoid(2u) = s, in which nothing cancels:   out = x s   d_inp = d_out (s + x s (1 - s) 2u')
//   2u' = 2 sqrt(2/pi) (1 + 3 * 0.044715 x^2)                                                                n elements
//
// A thread owns 8 neighbouring elements. Memory's rate leaves time for about 25 instructions an element, none for
// branches.
#pragma once
#include "host/reference/gelu.h"
#include "kernels/tools/common.cuh"

__device__ inline float gelu_2u(float x) {
    return x * (float(2 * gelu_scale) + float(2 * gelu_scale * gelu_cubic) * (x * x));
}

__device__ inline float gelu_of(float x) { return x * sigmoid_of(gelu_2u(x)); }
__device__ inline float gelu_slope(float x) {
    x = x < -9 ? -9 : x;  // below, it is less than 1e-26, and exp may overflow
    const float e = exp_approximate(-gelu_2u(x)), s = reciprocal_approximate(1 + e);
    const float d_2u = float(2 * gelu_scale) + float(6 * gelu_scale * gelu_cubic) * (x * x);
    return s + x * s * (e * s) * d_2u;  // e s = 1 - s
}

template <int W, class T>
__global__ void gelu_forward_kernel(T* out, const T* inp, size_t n) {
    const size_t i = flat_index<W>();
    if (i >= n) return;
    Vec<W> x = load<W>(inp + i);
    for (int k = 0; k < W; k++) x[k] = gelu_of(x[k]);
    store<W>(out + i, x);
}

template <int W, class T>
__global__ void gelu_backward_kernel(T* d_inp, const T* d_out, const T* inp, size_t n) {
    const size_t i = flat_index<W>();
    if (i >= n) return;
    const Vec<W> x = load<W>(inp + i);
    Vec<W> d = load<W>(d_out + i);
    for (int k = 0; k < W; k++) d[k] *= gelu_slope(x[k]);
    store<W>(d_inp + i, d);
}

template <class T>
void gelu_forward(T* out, const T* inp, size_t n, Gpu<T> on) {
    by_width(n, {out, inp},
             [&](auto W) { launch(gelu_forward_kernel<W, T>, flat_grid<W>(n), flat_block, 0, on, out, inp, n); });
}

template <class T>
void gelu_backward(T* d_inp, const T* d_out, const T* inp, size_t n, Gpu<T> on) {
    by_width(n, {d_inp, d_out, inp}, [&](auto W) {
        launch(gelu_backward_kernel<W, T>, flat_grid<W>(n), flat_block, 0, on, d_inp, d_out, inp, n);
    });
}
