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
#include "host/reference/rope.h"
#include "kernels/tools/common.cuh"

constexpr int rope_warps = 4;

// The vectors of pairs i .. i + W - 1 of a head: in RopePart, x holds their first members, y their second.
template <int W, class T>
struct RopeRaw {
    Raw<W, T> low, high;
};  // the two vectors as they lie in memory
template <int W, RopePairs pairs, class T>
__device__ RopeRaw<W, T> rope_load(const T* head, int i, int HS) {
    if constexpr (pairs == RopePairs::half) return {load_raw<W>(head + i), load_raw<W>(head + HS / 2 + i)};
    else return {load_raw<W>(head + 2 * i), load_raw<W>(head + 2 * i + W)};
}

template <int W>
struct RopeAngles {
    Raw<W, float> cos, sin;
};
template <int W>
__device__ RopeAngles<W> rope_angles(const float* cos, const float* sin, int i) {
    return {load_raw<W>(cos + i), load_raw<W>(sin + i)};
}

template <int W, RopePairs pairs>
struct RopePart {
    Vec<W> x, y;
    template <class T>
    __device__ void get(const RopeRaw<W, T>& raw) {
        const Vec<W> low = floats(raw.low), high = floats(raw.high);
        if constexpr (pairs == RopePairs::half) {
            x = low;
            y = high;
        } else {
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
    // The angles of this token's position. sign -1 turns back.
    __device__ void rotate(const RopeAngles<W>& angles, float sign) {
        const Vec<W> c = floats(angles.cos), s = floats(angles.sin);
        for (int k = 0; k < W; k++) {
            const float x0 = x[k], y0 = y[k], turn = s[k] * sign;
            x[k] = x0 * c[k] - y0 * turn;
            y[k] = x0 * turn + y0 * c[k];
        }
    }
};

template <int W, RopePairs pairs, class T>
__global__ void rope_kernel(T* qkv, const int* position, const float* cos, const float* sin, float sign, int N, int NH,
                            int NKV, int HS) {
    const int n = blockIdx.x * rope_warps + threadIdx.y;
    if (n >= N) return;
    const size_t angles = size_t(position[n]) * (HS / 2);
    T* token = qkv + size_t(n) * (NH + 2 * NKV) * HS;
    const int parts = HS / 2 / W;  // of a head
    for (int part = threadIdx.x; part < (NH + NKV) * parts; part += warp_size) {
        T* head = token + part / parts * HS;
        const int i = part % parts * W;
        const RopeRaw<W, T> raw = rope_load<W, pairs>(head, i, HS);
        const RopeAngles<W> turn = rope_angles<W>(cos + angles, sin + angles, i);
        RopePart<W, pairs> pair;
        pair.get(raw);
        pair.rotate(turn, sign);
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
void rope_rotate(T* qkv, const int* position, const float* cos, const float* sin, float sign, RopePairs pairs, int N,
                 int NH, int NKV, int HS, const Gpu<T>& on) {
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
