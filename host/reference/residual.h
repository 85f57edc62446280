// Residual: out = inp + branch, n elements. Backward is the identity: the gradient flows to both unchanged.
#pragma once
#include "parallel.h"

// One token, or any other part.
template <class T>
void residual_row(T* out, const T* inp, const T* branch, size_t n) {
#pragma omp simd
    for (size_t i = 0; i < n; i++) out[i] = inp[i] + branch[i];
}

template <class T>
void residual_forward(T* out, const T* inp, const T* branch, size_t n, Cpu<T>) {
    for_blocks(
        n, [=](size_t first, size_t last) { residual_row(out + first, inp + first, branch + first, last - first); });
}
