// Dropout: out = factor * inp,   factor = 0 with probability p, else 1 / (1 - p)           d_inp = factor * d_out
//
//   The factor of element (n,c) is a function of seed, step, site and (noise->row + n) * C + c: recomputed, never stored,
//   and the same however a batch is cut into micro-batches.       inp, out (N,C), may be the same
#pragma once
#include "../device.h"
#include "philox.h"

template <class T>
void dropout_forward(T* out, const T* inp, const Dropout& drop, int N, int C, Cpu<T>) {
    #pragma omp parallel for schedule(static)
    for (int n = 0; n < N; n++)
        for (int c = 0; c < C; c++)
            out[size_t(n) * C + c] = inp[size_t(n) * C + c] * T(dropout_factor(drop, (drop.noise->row + uint64_t(n)) * C + c));
}

template <class T>
void dropout_backward(T* d_inp, const T* d_out, const Dropout& drop, int N, int C, Cpu<T> on) {
    dropout_forward(d_inp, d_out, drop, N, C, on);
}
