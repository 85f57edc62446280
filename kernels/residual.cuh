// Residual: out = inp + branch, n elements. Backward is the identity: the gradient flows to both unchanged.
//
// A thread owns 8 neighbouring elements.
#pragma once
#include "host/reference/residual.h"
#include "kernels/tools/common.cuh"

template <int W, class T>
__global__ void residual_forward_kernel(T* out, const T* inp, const T* branch, size_t n) {
    const size_t i = flat_index<W>();
    if (i >= n) return;
    Vec<W> x = load<W>(inp + i);
    const Vec<W> y = load<W>(branch + i);
    for (int k = 0; k < W; k++) x[k] += y[k];
    store<W>(out + i, x);
}

template <class T>
void residual_forward(T* out, const T* inp, const T* branch, size_t n, Gpu<T> on) {
    by_width(n, {out, inp, branch}, [&](auto W) {
        launch(residual_forward_kernel<W, T>, flat_grid<W>(n), flat_block, 0, on, out, inp, branch, n);
    });
}
