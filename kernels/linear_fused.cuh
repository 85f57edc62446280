// Linear with the layer that follows it, or in backward the one before it, in one kernel: the results of the
// composition in host/reference/linear_fused.h without the trip through memory.
//
//   linear_gelu      before = inp . weight^T + bias      out = gelu(before)
//   linear_swiglu    gate_up = inp . weight^T + bias     out = silu(gate) * up       weight (2F,C)   gate_up (N,2F)
//
//   gelu_linear_backward, swiglu_linear_backward: linear_backward of a layer whose input inp (N,C) is an activation's
//   output, up to the activation's own input: d_before (N,C) of before (N,C), d_gate_up (N,2C) of gate_up (N,2C).
//   GELU's also adds up what it writes, d_before_bias[c] += sum_n d_before[n,c]: for a bias that before has.
#pragma once
#include "gelu.cuh"
#include "host/reference/linear_fused.h"
#include "linear.cuh"
#include "swiglu.cuh"

// cuBLAS has no SwiGLU. Where Hopper's product does not fuse it: is our fused matmul faster than cuBLAS's and a kernel
// after it, which costs 4 more bytes of memory traffic? Per operation ours takes longer, by the time of so many bytes
// (on 9.0 to 10.x as an H100 measured it, see dev/doc/gemm.md; elsewhere a guess).
template <class T>
bool linear_fuses_swiglu(int flops, const Gpu<T>& on) {
    return !uses_cublas(on) || flops * (cublas_is_ahead(on) ? 3.5e-3 : 1e-3) < 4;
}

template <class T>
void linear_gelu_forward(T* out, T* before, const T* inp, const T* weight, const T* bias, int N, int C, int OC,
                         Gpu<T> on) {
    const AlongK<T> a{inp, C, N}, b{weight, C, OC};
    if constexpr (std::is_same_v<T, bf16>)
        if (linear_fits(C, OC, {out, before, inp, weight, bias})) {
            const LinearGelu gelu{out, before, bias, OC};
            const LinearThen<T> then{.bias = bias, .before = before};
            if (linear_hopper(gelu, a, b, C, on)) return;
            if (cublas_fuses_gelu(on) && linear_cublas(out, a, b, C, then, on)) return;
            if ((N <= linear_few || !uses_cublas(on)) && on.trusts(Kernels::linear_fused) &&
                linear_bf16(gelu, a, b, C, on))
                return;
        }
    linear_forward(before, inp, weight, bias, N, C, OC, on);
    gelu_forward(out, before, size_t(N) * OC, on);
}

template <class T>
void linear_swiglu_forward(T* out, T* gate_up, const T* inp, const T* weight, const T* bias, int N, int C, int F,
                           Gpu<T> on) {
    if constexpr (std::is_same_v<T, bf16>)
        if (linear_fits(C, F, {out, gate_up, inp, weight, bias})) {
            const AlongK<T> a{inp, C, N};
            const LinearOperand<T, Along::k, RowsInTurns> b{weight, C, 2 * F, {F}};
            const LinearSwiglu swiglu{out, gate_up, bias, F};
            if (linear_hopper(swiglu, a, b, C, on)) return;
            if (on.trusts(Kernels::linear_fused) && (N <= linear_few || linear_fuses_swiglu(4 * C, on)) &&
                linear_bf16(swiglu, a, b, C, on))
                return;
        }
    linear_forward(gate_up, inp, weight, bias, N, C, 2 * F, on);
    swiglu_forward(out, gate_up, N, F, on);
}

// d_before, but not the sums over its rows.
template <class T>
void gelu_linear_backward_input(T* d_before, const T* d_out, const T* before, const T* weight, int N, int C, int OC,
                                const Gpu<T>& on) {
    const AlongK<T> a{d_out, OC, N};
    const Across<T> b{weight, C, C};
    if constexpr (std::is_same_v<T, bf16>)
        if (linear_fits(C, OC, {d_before, d_out, before, weight})) {
            if (cublas_fuses_gelu(on) && linear_cublas(d_before, a, b, OC, LinearThen<T>{.slope_of = before}, on))
                return;
            if (!uses_cublas(on) && on.trusts(Kernels::linear_fused) &&
                linear_bf16(LinearGeluGradient{d_before, before, C}, a, b, OC, on))
                return;
        }
    linear_backward_input(d_before, d_out, weight, N, C, OC, on);
    gelu_backward(d_before, d_before, before, size_t(N) * C, on);
}

// d_bias and d_before_bias may be null.
template <class T>
void gelu_linear_backward(T* d_before, float* d_weight, float* d_bias, float* d_before_bias, const T* d_out,
                          const T* inp, const T* before, const T* weight, int N, int C, int OC, Gpu<T> on) {
    linear_backward_weight(d_weight, d_bias, d_out, inp, N, C, OC, on);
    if constexpr (std::is_same_v<T, bf16>)
        if (linear_fits(C, OC, {d_before, d_out, before, weight}) &&
            linear_hopper(LinearGeluGradient{d_before, before, C}, AlongK<T>{d_out, OC, N}, Across<T>{weight, C, C}, OC,
                          on, d_before_bias))
            return;
    gelu_linear_backward_input(d_before, d_out, before, weight, N, C, OC, on);
    linear_bias(d_before_bias, d_before, N, C, on);
}

template <class T>
void swiglu_linear_backward(T* d_gate_up, float* d_weight, float* d_bias, const T* d_out, const T* inp,
                            const T* gate_up, const T* weight, int N, int C, int OC, Gpu<T> on) {
    linear_backward_weight(d_weight, d_bias, d_out, inp, N, C, OC, on);
    if constexpr (std::is_same_v<T, bf16>)
        if (linear_fits(C, OC, {d_gate_up, d_out, gate_up, weight})) {
            const AlongK<T> a{d_out, OC, N};
            const Across<T> b{weight, C, C};
            const LinearSwigluGradient gradient{d_gate_up, gate_up, C};
            if (linear_hopper(gradient, a, b, OC, on)) return;
            if (on.trusts(Kernels::linear_fused) && linear_fuses_swiglu(2 * OC, on) &&
                linear_bf16(gradient, a, b, OC, on))
                return;
        }
    T* d_inp = linear_scratch(size_t(N) * C, on);
    linear_backward_input(d_inp, d_out, weight, N, C, OC, on);
    swiglu_backward(d_gate_up, d_inp, gate_up, N, C, on);
}
