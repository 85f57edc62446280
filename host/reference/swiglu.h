// SwiGLU: out = silu(gate) * up,   silu(g) = g sigmoid(g)   (Shazeer 2020)        inp = [gate | up] (N,2F)   out (N,F)
//
//   d_up = d_out silu(gate)      d_gate = d_out up sigmoid(gate) (1 + gate (1 - sigmoid(gate)))
#pragma once
#include "cpu.h"
#include "math.h"
#include "threads.h"

template <class T>
void swiglu_forward(T* out, const T* inp, int N, int F, Cpu<T>) {
    parallel_for(N, [=](int n) {
        const T *gate = inp + size_t(n) * 2 * F, *up = gate + F;
        T* y = out + size_t(n) * F;
#pragma omp simd
        for (int f = 0; f < F; f++) y[f] = gate[f] * sigmoid(gate[f]) * up[f];
    });
}

template <class T>
void swiglu_backward(T* d_inp, const T* d_out, const T* inp, int N, int F, Cpu<T>) {
    parallel_for(N, [=](int n) {
        const T *gate = inp + size_t(n) * 2 * F, *up = gate + F, *d = d_out + size_t(n) * F;
        T *d_gate = d_inp + size_t(n) * 2 * F, *d_up = d_gate + F;
#pragma omp simd
        for (int f = 0; f < F; f++) {
            const T s = sigmoid(gate[f]);
            d_gate[f] = d[f] * up[f] * s * (T(1) + gate[f] * (T(1) - s));
            d_up[f] = d[f] * gate[f] * s;
        }
    });
}
