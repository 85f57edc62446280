// Residual: out = inp + branch, n elements. Backward is the identity: the gradient flows to both unchanged.
#pragma once
#include "parallel.h"

template <class T>
void residual_forward(T* out, const T* inp, const T* branch, size_t n, Cpu<T>) {
    for_blocks(n, [=](size_t first, size_t last) {
#pragma omp simd
        for (size_t i = first; i < last; i++) out[i] = inp[i] + branch[i];
    });
}
