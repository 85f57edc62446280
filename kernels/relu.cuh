// ReLU: out = x where x > 0, else 0   d_inp = d_out where inp > 0, else 0   n elements
//
// A thread owns 8 neighbouring elements.
#pragma once
#include "host/reference/relu.h"
#include "kernels/tools/common.cuh"

template <int W, class T>
__global__ void relu_forward_kernel(T* out, const T* inp, size_t n) {
    const size_t i = flat_index<W>();
    if (i >= n) return;
    Vec<W> x = load<W>(inp + i);
    for (int k = 0; k < W; k++) x[k] = x[k] > 0 ? x[k] : 0;
    store<W>(out + i, x);
}

template <int W, class T>
__global__ void relu_backward_kernel(T* d_inp, const T* d_out, const T* inp, size_t n) {
    const size_t i = flat_index<W>();
    if (i >= n) return;
    const Vec<W> x = load<W>(inp + i);
    Vec<W> d = load<W>(d_out + i);
    for (int k = 0; k < W; k++) d[k] = x[k] > 0 ? d[k] : 0;
    store<W>(d_inp + i, d);
}

template <class T>
void relu_forward(T* out, const T* inp, size_t n, Gpu<T> on) {
    by_width(n, {out, inp},
             [&](auto W) { launch(relu_forward_kernel<W, T>, flat_grid<W>(n), flat_block, 0, on, out, inp, n); });
}

template <class T>
void relu_backward(T* d_inp, const T* d_out, const T* inp, size_t n, Gpu<T> on) {
    by_width(n, {d_inp, d_out, inp}, [&](auto W) {
        launch(relu_backward_kernel<W, T>, flat_grid<W>(n), flat_block, 0, on, d_inp, d_out, inp, n);
    });
}
