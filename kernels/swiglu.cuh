// SwiGLU: out = silu(gate) * up,   silu(g) = g sigmoid(g)   (Shazeer 2020)        inp = [gate | up] (N,2F)   out (N,F)
//
//   d_up = d_out silu(gate)      d_gate = d_out up sigmoid(gate) (1 + gate (1 - sigmoid(gate)))
//
// A thread owns 8 neighbouring f of a row; a block's row of threads, threadIdx.y, walks over rows.
#pragma once
#include "host/reference/swiglu.h"
#include "kernels/tools/common.cuh"

constexpr int swiglu_rows = 4;

__device__ inline float swiglu_of(float gate, float up) { return gate * sigmoid_of(gate) * up; }
// In their places, the gradients of gate and up.
__device__ inline void swiglu_slope(float& gate, float& up, float d_out) {
    const float s = sigmoid_of(gate), g = gate;
    gate = d_out * up * s * (1 + g * (1 - s));
    up = d_out * g * s;
}

template <int W, class T>
__global__ void swiglu_forward_kernel(T* out, const T* inp, int N, int F) {
    const int f = (blockIdx.x * blockDim.x + threadIdx.x) * W;
    if (f >= F) return;
    for (int n = blockIdx.y * blockDim.y + threadIdx.y; n < N; n += gridDim.y * blockDim.y) {
        const T* row = inp + size_t(n) * 2 * F;
        Vec<W> gate = load<W>(row + f);
        const Vec<W> up = load<W>(row + F + f);
        for (int i = 0; i < W; i++) gate[i] = swiglu_of(gate[i], up[i]);
        store<W>(out + size_t(n) * F + f, gate);
    }
}

template <int W, class T>
__global__ void swiglu_backward_kernel(T* d_inp, const T* d_out, const T* inp, int N, int F) {
    const int f = (blockIdx.x * blockDim.x + threadIdx.x) * W;
    if (f >= F) return;
    for (int n = blockIdx.y * blockDim.y + threadIdx.y; n < N; n += gridDim.y * blockDim.y) {
        const T* row = inp + size_t(n) * 2 * F;
        Vec<W> gate = load<W>(row + f), up = load<W>(row + F + f);
        const Vec<W> d = load<W>(d_out + size_t(n) * F + f);
        for (int i = 0; i < W; i++) swiglu_slope(gate[i], up[i], d[i]);
        T* d_row = d_inp + size_t(n) * 2 * F;
        store<W>(d_row + f, gate);
        store<W>(d_row + F + f, up);
    }
}

constexpr dim3 swiglu_block() { return dim3(warp_size, swiglu_rows); }
template <int W>
dim3 swiglu_grid(int N, int F) {
    return dim3(ceil_div(F, warp_size * W), std::min(ceil_div(N, swiglu_rows), 65535));
}

template <class T>
void swiglu_forward(T* out, const T* inp, int N, int F, Gpu<T> on) {
    by_width(F, {out, inp}, [&](auto W) {
        launch(swiglu_forward_kernel<W, T>, swiglu_grid<W>(N, F), swiglu_block(), 0, on, out, inp, N, F);
    });
}

template <class T>
void swiglu_backward(T* d_inp, const T* d_out, const T* inp, int N, int F, Gpu<T> on) {
    by_width(F, {d_inp, d_out, inp}, [&](auto W) {
        launch(swiglu_backward_kernel<W, T>, swiglu_grid<W>(N, F), swiglu_block(), 0, on, d_inp, d_out, inp, N, F);
    });
}
