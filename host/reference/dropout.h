// Dropout: out = factor * inp,   factor = 0 with probability p, else 1 / (1 - p)           d_inp = factor * d_out
//
//   The factor of element (n,c) is a function of seed, step, site and (noise->row + n) * C + c: recomputed, never kept,
//   and the same however a batch is cut into micro-batches.       inp, out (N,C), may be the same
#pragma once
#include "cpu.h"
#include "philox.h"
#include "threads.h"

template <class T>
void dropout_forward(T* out, const T* inp, const Dropout& drop, int N, int C, Cpu<T>) {
    constexpr size_t block = 1024;
    const size_t n = size_t(N) * C;
    parallel_for(int((n + block - 1) / block), [=](int b) {
        const size_t first = b * block;
        const int count = int(std::min(block, n - first));
        T factor[block];
        dropout_factors(factor, drop, uint64_t(drop.noise->row) * C + first, count);
#pragma omp simd
        for (int i = 0; i < count; i++) out[first + i] = inp[first + i] * factor[i];
    });
}

template <class T>
void dropout_backward(T* d_inp, const T* d_out, const Dropout& drop, int N, int C, Cpu<T> on) {
    dropout_forward(d_inp, d_out, drop, N, C, on);
}
