// Global norm: norm = sqrt(sum_i x[i]^2), in blocks of a fixed size and order: the same bits for any number of threads.
#pragma once
#include <cmath>
#include "cpu.h"

template <class T>
void global_norm(T* norm, const T* x, size_t n, Cpu<T> on) {
    constexpr size_t block = 1 << 16;
    const size_t blocks = (n + block - 1) / block;
    T* partial = on.scratch(blocks);
#pragma omp parallel for schedule(static)
    for (size_t b = 0; b < blocks; b++) {
        T sum = 0;
        for (size_t i = b * block; i < std::min(n, (b + 1) * block); i++) sum += x[i] * x[i];
        partial[b] = sum;
    }
    T sum = 0;
    for (size_t b = 0; b < blocks; b++) sum += partial[b];
    *norm = std::sqrt(sum);
}
