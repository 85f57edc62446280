// ReLU: out = x where x > 0, else 0      d_inp = d_out where inp > 0, else 0      n elements
#pragma once
#include <complex>
#include "parallel.h"

template <class T>
void relu_forward(T* out, const T* inp, size_t n, Cpu<T>) {
    for_blocks(n, [=](size_t first, size_t last) {
#pragma omp simd
        for (size_t i = first; i < last; i++) out[i] = std::real(inp[i]) > 0 ? inp[i] : T(0);
    });
}

template <class T>
void relu_backward(T* d_inp, const T* d_out, const T* inp, size_t n, Cpu<T>) {
    for_blocks(n, [=](size_t first, size_t last) {
#pragma omp simd
        for (size_t i = first; i < last; i++) d_inp[i] = std::real(inp[i]) > 0 ? d_out[i] : T(0);
    });
}
