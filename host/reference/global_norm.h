// Global norm: norm = sqrt(sum_i x[i]^2), in blocks of a fixed size and order: the same bits for any number of threads.
#pragma once
#include <cmath>
#include "cpu.h"
#include "threads.h"

template <class T>
void global_norm(T* norm, const T* x, size_t n, Cpu<T> on) {
    constexpr size_t block = 1 << 13;
    const size_t blocks = (n + block - 1) / block;
    T* partial = on.scratch(blocks);
    parallel_for(blocks, [=](int b) {
        const T* part = x + b * block;
        const size_t size = std::min(block, n - b * block);
        T sum = 0;
        for (size_t i = 0; i < size; i++) sum += part[i] * part[i];
        partial[b] = sum;
    });
    T sum = 0;
    for (size_t b = 0; b < blocks; b++) sum += partial[b];
    *norm = std::sqrt(sum);
}
