// Embedding: a row of a table for the token, plus a row of another for its position.
//
//   out[n] = wte[token[n]] + wpe[position[n]]            d_wte[token[n]] += d_out[n]   d_wpe[position[n]] += d_out[n]
//
//   out (N,C)   wte (V,C)   wpe (T,C) or null   token, position (N)
#pragma once
#include <cmath>
#include "cpu.h"
#include "threads.h"

template <class T>
void embedding_forward(T* out, const int* token, const int* position, const T* wte, const T* wpe, int N, int C,
                       Cpu<T>) {
    parallel_for(N, [=](int n) {
        const T* word = wte + size_t(token[n]) * C;
        const T* place = wpe ? wpe + size_t(position[n]) * C : nullptr;
        for (int c = 0; c < C; c++) out[size_t(n) * C + c] = place ? word[c] + place[c] : word[c];
    });
}

// d_wpe may be null. A thread owns 64 channels and walks the tokens in order. V, T: rows of the tables (kernels sort by
// them).
template <class T>
void embedding_backward(T* d_wte, T* d_wpe, const T* d_out, const int* token, const int* position, int N, int C, int,
                        int, Cpu<T>) {
    constexpr int owned = 64;
    parallel_for((C + owned - 1) / owned, [=](int i) {
        const int first = i * owned, last = std::min(first + owned, C);
        for (int n = 0; n < N; n++) {
            const T* d = d_out + size_t(n) * C;
            T *word = d_wte + size_t(token[n]) * C, *place = d_wpe ? d_wpe + size_t(position[n]) * C : nullptr;
            for (int c = first; c < last; c++) word[c] += d[c];
            if (!place) continue;
            for (int c = first; c < last; c++) place[c] += d[c];
        }
    });
}

// Row t, channels 2i and 2i+1: sin and cos of t * 10000^(-2i/C) ("Attention is all you need", 3.5). A constant wpe
// (T,C).
inline double sinusoid(int t, int c, int C) {
    const double angle = t * std::pow(10000.0, -double(c - c % 2) / C);
    return c % 2 ? std::cos(angle) : std::sin(angle);
}
