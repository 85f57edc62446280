// Linear with the layer that follows it, or in backward the one before it: the compositions that
// kernels/linear_fused.cuh computes in one kernel each. Shapes and equations stand there.
#pragma once
#include "gelu.h"
#include "linear.h"
#include "swiglu.h"

template <class T>
void linear_gelu_forward(T* out, T* before, const T* inp, const T* weight, const T* bias, int N, int C, int OC,
                         Cpu<T> on) {
    linear_forward(before, inp, weight, bias, N, C, OC, on,
                   [=](size_t i, size_t n) { gelu_forward_part(out, before, i, i + n); });
}

template <class T>
void linear_swiglu_forward(T* out, T* gate_up, const T* inp, const T* weight, const T* bias, int N, int C, int F,
                           Cpu<T> on) {
    linear_forward(gate_up, inp, weight, bias, N, C, 2 * F, on);
    swiglu_forward(out, gate_up, N, F, on);
}

// d_bias and d_before_bias may be null.
template <class T>
void gelu_linear_backward(T* d_before, T* d_weight, T* d_bias, T* d_before_bias, const T* d_out, const T* inp,
                          const T* before, const T* weight, int N, int C, int OC, Cpu<T> on) {
    linear_backward(d_before, d_weight, d_bias, d_out, inp, weight, N, C, OC, on,
                    [=](size_t i, size_t n) { gelu_backward_part(d_before, d_before, before, i, i + n); });
    parallel_together(BiasGradient<T>{d_before_bias, d_before, N, C, on.into});
}

template <class T>
void swiglu_linear_backward(T* d_gate_up, T* d_weight, T* d_bias, const T* d_out, const T* inp, const T* gate_up,
                            const T* weight, int N, int C, int OC, Cpu<T> on) {
    T* d_inp = on.scratch(size_t(N) * C);
    linear_backward(d_inp, d_weight, d_bias, d_out, inp, weight, N, C, OC, on);
    swiglu_backward(d_gate_up, d_inp, gate_up, N, C, on);
}
