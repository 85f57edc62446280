// Residual: out = inp + branch, n elements. Backward is the identity: the gradient flows to both unchanged.
#pragma once
#include "../device.h"

template <class T>
void residual_forward(T* out, const T* inp, const T* branch, size_t n, Cpu<T>) {
    #pragma omp parallel for simd schedule(static)
    for (size_t i = 0; i < n; i++) out[i] = inp[i] + branch[i];
}
