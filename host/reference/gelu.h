// GELU, tanh approximation (Hendrycks & Gimpel 2016):  out = x (1 + tanh(u)) / 2,   u = sqrt(2/pi) (x + 0.044715 x^3)
//
//   (1 + tanh(u)) / 2 = sigmoid(2u) = s, in which nothing cancels
//   out = x s     d_inp = d_out (s + x s (1 - s) 2u')     2u' = 2 sqrt(2/pi) (1 + 3 * 0.044715 x^2)   n elements
#pragma once
#include "math.h"
#include "parallel.h"

constexpr double gelu_scale = 0.7978845608028654, gelu_cubic = 0.044715;

// Elements first .. last-1, on the calling thread.
template <class T>
void gelu_forward_part(T* out, const T* inp, size_t first, size_t last) {
#pragma omp simd
    for (size_t i = first; i < last; i++) {
        const T x = inp[i];
        out[i] = x * sigmoid(T(2 * gelu_scale) * (x + T(gelu_cubic) * x * x * x));
    }
}
template <class T>
void gelu_backward_part(T* d_inp, const T* d_out, const T* inp, size_t first, size_t last) {
#pragma omp simd
    for (size_t i = first; i < last; i++) {
        const T x = inp[i], u2 = T(2 * gelu_scale) * (x + T(gelu_cubic) * x * x * x);
        const auto [s, rest] = sigmoids(u2);
        const T d_u2 = T(2 * gelu_scale) * (T(1) + T(3 * gelu_cubic) * x * x);
        d_inp[i] = d_out[i] * (s + x * s * rest * d_u2);
    }
}

template <class T>
void gelu_forward(T* out, const T* inp, size_t n, Cpu<T>) {
    for_blocks(n, [=](size_t first, size_t last) { gelu_forward_part(out, inp, first, last); });
}
template <class T>
void gelu_backward(T* d_inp, const T* d_out, const T* inp, size_t n, Cpu<T>) {
    for_blocks(n, [=](size_t first, size_t last) { gelu_backward_part(d_inp, d_out, inp, first, last); });
}
