// RoPE: rotate every pair of channels of every query and key head by an angle that grows with the position (Su et al.
// 2021).
//
//   angle[t,i] = t * frequency[i],   frequency[i] = theta^(-2i/HS)       (x, y) -> (x cos - y sin, x sin + y cos)
//   pair i of a head is (i, i + HS/2) (half) or (2i, 2i+1) (interleaved); backward rotates by the negative angle
//
//   qkv (N,NH+2*NKV,HS) in place, values left alone   position (N)   cos, sin (T,HS/2)
//
// A warp owns a token and a thread W pairs at a time: two vectors, and both members of every pair.
#pragma once
#include "../host/reference/rope.h"
#include "common.cuh"

constexpr int rope_warps = 4;

// The vectors of pairs i .. i + W - 1 of a head: x holds their first members, y their second.
template <int W, RopePairs pairs> struct RopePart {
    Vec<W> x, y;
    template <class T>
    __device__ void get(const T* head, int i, int HS) {
        if constexpr (pairs == RopePairs::half) {
            x = load<W>(head + i);
            y = load<W>(head + HS / 2 + i);
        } else {
            const Vec<W> low = load<W>(head + 2 * i), high = load<W>(head + 2 * i + W);
            for (int k = 0; k < W; k++) {
                x[k] = 2 * k < W ? low[2 * k % W] : high[2 * k % W];
                y[k] = 2 * k + 1 < W ? low[(2 * k + 1) % W] : high[(2 * k + 1) % W];
            }
        }
    }
    template <class T>
    __device__ void put(T* head, int i, int HS) const {
        if constexpr (pairs == RopePairs::half) {
            store<W>(head + i, x);
            store<W>(head + HS / 2 + i, y);
        } else {
            Vec<W> low, high;
            for (int k = 0; k < W; k++) {
                low[k] = k % 2 ? y[k / 2] : x[k / 2];
                high[k] = (W + k) % 2 ? y[(W + k) / 2] : x[(W + k) / 2];
            }
            store<W>(head + 2 * i, low);
            store<W>(head + 2 * i + W, high);
        }
    }
    // cos, sin: of this token's position. sign -1 turns back.
    __device__ void rotate(const float* cos, const float* sin, float sign, int i) {
        const Vec<W> c = load<W>(cos + i), s = load<W>(sin + i);
        for (int k = 0; k < W; k++) {
            const float x0 = x[k], y0 = y[k], turn = s[k] * sign;
            x[k] = x0 * c[k] - y0 * turn;
            y[k] = x0 * turn + y0 * c[k];
        }
    }
};

template <int W, RopePairs pairs, class T>
__global__ void rope_kernel(T* qkv, const int* position, const float* cos, const float* sin, float sign,
                            int N, int NH, int NKV, int HS) {
    const int n = blockIdx.x * rope_warps + threadIdx.y;
    if (n >= N) return;
    const size_t angles = size_t(position[n]) * (HS / 2);
    T* token = qkv + size_t(n) * (NH + 2 * NKV) * HS;
    const int parts = HS / 2 / W;                              // of a head
    for (int part = threadIdx.x; part < (NH + NKV) * parts; part += warp_size) {
        T* head = token + part / parts * HS;
        const int i = part % parts * W;
        RopePart<W, pairs> pair;
        pair.get(head, i, HS);
        pair.rotate(cos + angles, sin + angles, sign, i);
        pair.put(head, i, HS);
    }
}

// Calls `then` with the vectors' width and the kind of pairs.
template <class Then>
void by_pairs(int HS, RopePairs pairs, Pointers pointers, Then then) {
    by_width(HS / 2, pointers, [&](auto W) {
        if (pairs == RopePairs::half) then(W, std::integral_constant<RopePairs, RopePairs::half>{});
        else then(W, std::integral_constant<RopePairs, RopePairs::interleaved>{});
    });
}

template <class T>
void rope_rotate(T* qkv, const int* position, const float* cos, const float* sin, float sign, RopePairs pairs,
                 int N, int NH, int NKV, int HS, const Gpu<T>& on) {
    by_pairs(HS, pairs, {qkv, cos, sin}, [&](auto W, auto which) {
        launch(rope_kernel<W, which, T>, ceil_div(N, rope_warps), dim3(warp_size, rope_warps), 0, on, qkv, position,
               cos, sin, sign, N, NH, NKV, HS);
    });
}

template <class T>
void rope_forward(T* qkv, const int* position, const float* cos, const float* sin, RopePairs pairs, int N, int NH,
                  int NKV, int HS, Gpu<T> on) {
    rope_rotate(qkv, position, cos, sin, 1, pairs, N, NH, NKV, HS, on);
}
template <class T>
void rope_backward(T* d_qkv, const int* position, const float* cos, const float* sin, RopePairs pairs, int N, int NH,
                   int NKV, int HS, Gpu<T> on) {
    rope_rotate(d_qkv, position, cos, sin, -1, pairs, N, NH, NKV, HS, on);
}
