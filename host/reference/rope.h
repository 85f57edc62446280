// RoPE (Su et al. 2021): rotate every pair of channels of every query and key head in proportion to its position.
//
//   angle[t,i] = t * frequency[i],   frequency[i] = theta^(-2i/HS)       (x, y) -> (x cos - y sin, x sin + y cos)
//   pair i of a head is (i, i + HS/2) (half) or (2i, 2i+1) (interleaved); backward rotates by the negative angle
//
//   qkv (N,NH+2*NKV,HS) in place, values left alone   position (N)   cos, sin (T,HS/2)
#pragma once
#include <cmath>
#include "cpu.h"
#include "rope_pairs.h"
#include "threads.h"

// Llama-3.1's scaling keeps short wavelengths, divides long ones by `factor`, and blends in between.
inline double rope_frequency(int i, int HS, double theta, const RopeScaling& s) {
    const double frequency = std::pow(theta, -2.0 * i / HS), wavelength = 2 * M_PI / frequency;
    if (s.factor == 1) return frequency;
    const double turns = s.original_context / wavelength;  // rotations within the context of pretraining
    if (turns < s.low_frequency) return frequency / s.factor;
    if (turns > s.high_frequency) return frequency;
    const double keep = (turns - s.low_frequency) / (s.high_frequency - s.low_frequency);
    return (1 - keep) * frequency / s.factor + keep * frequency;
}

template <class T>
void rope_rotate(T* qkv, const int* position, const T* cos, const T* sin, T sign, RopePairs pairs, int N, int NH,
                 int NKV, int HS) {
    const int half = HS / 2;
    parallel_for(N, [=](int n) {
        const T *c = cos + size_t(position[n]) * half, *s = sin + size_t(position[n]) * half;
        const auto turn = [=](T& x, T& y, int i) {
            const T x0 = x, y0 = y;
            x = x0 * c[i] - y0 * s[i] * sign;
            y = x0 * s[i] * sign + y0 * c[i];
        };
        for (int h = 0; h < NH + NKV; h++) {
            T* head = qkv + (size_t(n) * (NH + 2 * NKV) + h) * HS;
            if (pairs == RopePairs::half) {
#pragma omp simd
                for (int i = 0; i < half; i++) turn(head[i], head[half + i], i);
            } else {
#pragma omp simd
                for (int i = 0; i < half; i++) turn(head[2 * i], head[2 * i + 1], i);
            }
        }
    });
}

template <class T>
void rope_forward(T* qkv, const int* position, const T* cos, const T* sin, RopePairs pairs, int N, int NH, int NKV,
                  int HS, Cpu<T>) {
    rope_rotate(qkv, position, cos, sin, T(1), pairs, N, NH, NKV, HS);
}
template <class T>
void rope_backward(T* d_qkv, const int* position, const T* cos, const T* sin, RopePairs pairs, int N, int NH, int NKV,
                   int HS, Cpu<T>) {
    rope_rotate(d_qkv, position, cos, sin, T(-1), pairs, N, NH, NKV, HS);
}
