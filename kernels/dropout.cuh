// Dropout: out = factor * inp,   factor = 0 with probability p, else 1 / (1 - p)           d_inp = factor * d_out
//
//   The factor of element (n,c) is a function of seed, step, site and (noise->row + n) * C + c: recomputed, never
//   stored, and the same however a batch is cut into micro-batches.       inp, out (N,C), may be the same
//
// A thread owns 8 neighbouring elements of the flat tensor, which two Philox calls cover.
#pragma once
#include "host/reference/dropout.h"
#include "kernels/tools/common.cuh"

template <int W, class T>
__global__ void dropout_forward_kernel(T* out, const T* inp, Dropout drop, size_t n, int C) {
    const size_t i = flat_index<W>();
    if (i >= n) return;
    const Noise noise = *drop.noise;
    Vec<W> x = load<W>(inp + i);
    const Vec<W> factor = dropout_factors<W>(drop, noise, uint64_t(noise.row) * C + i);
    for (int k = 0; k < W; k++) x[k] *= factor[k];
    store<W>(out + i, x);
}

template <class T>
void dropout_forward(T* out, const T* inp, const Dropout& drop, int N, int C, Gpu<T> on) {
    by_width(C, {out, inp}, [&](auto W) {
        const size_t n = size_t(N) * C;
        launch(dropout_forward_kernel<W, T>, flat_grid<W>(n), flat_block, 0, on, out, inp, drop, n, C);
    });
}

template <class T>
void dropout_backward(T* d_inp, const T* d_out, const Dropout& drop, int N, int C, Gpu<T> on) {
    dropout_forward(d_inp, d_out, drop, N, C, on);
}
