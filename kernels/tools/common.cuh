// What every kernel file shares: 16-byte vectors, the choice of their width, rows spread over threads, fixed-order
// sums, dropout.
#pragma once
#include <algorithm>
#include <cstring>
#include <initializer_list>
#include <type_traits>
#include "gpu.cuh"
#include "host/reference/philox.h"
#include "ptx.cuh"

// The loop that follows is unrolled.
#define UNROLL _Pragma("unroll")

constexpr int warp_size = 32;

template <class I>
__host__ __device__ constexpr I ceil_div(I a, std::type_identity_t<I> b) {
    return (a + b - 1) / b;
}
template <class I>
__host__ __device__ constexpr I round_up(I a, std::type_identity_t<I> b) {
    return ceil_div(a, b) * b;
}

// ------------------------------------------------------------------------------------------------------------- vectors
// W neighbouring elements as floats. W = 8 moves in 16-byte transactions and needs 16-byte aligned addresses;
// W = 1 does any shape. A kernel is written once, over W, and its launcher lets by_width() choose.

template <int W>
struct Vec {
    float v[W];
    __device__ float& operator[](int i) { return v[i]; }
    __device__ const float& operator[](int i) const { return v[i]; }
};

template <class T>
struct alignas(16) Packed {
    T v[16 / sizeof(T)];
};

template <int W, class T>
__device__ Vec<W> load(const T* p) {
    Vec<W> out;
    if constexpr (W == 1) {
        out[0] = float(*p);
    } else {
        constexpr int size = 16 / sizeof(T);
        static_assert(W % size == 0);
        UNROLL
        for (int i = 0; i < W; i += size) {
            Packed<T> raw;
            const void* from = p + i;
            std::memcpy(&raw, __builtin_assume_aligned(from, 16), 16);
            UNROLL
            for (int k = 0; k < size; k++) out[i + k] = float(raw.v[k]);
        }
    }
    return out;
}

// W elements in their storage type. Many loads are in flight together only if no conversion stands between them. Above
// all not under a condition: the compiler would make a branch of both, and wait in it. (dev/budget counts loads in
// flight.)
template <int W, class T>
struct Raw {
    uint4 words[W * sizeof(T) / 16];
};
template <class T>
struct Raw<1, T> {
    T value;
};

template <int W, class T>
__device__ Raw<W, T> load_raw(const T* p) {
    Raw<W, T> raw;
    if constexpr (W == 1) {
        raw.value = *p;
    } else {
        static_assert(W * sizeof(T) % 16 == 0);
        UNROLL
        for (size_t i = 0; i < W * sizeof(T) / 16; i++) raw.words[i] = load_words(p + i * (16 / sizeof(T)));
    }
    return raw;
}
template <int W, class T>
__device__ Vec<W> floats(const Raw<W, T>& raw) {
    T value[W];
    std::memcpy(value, &raw, sizeof value);
    Vec<W> out;
    UNROLL
    for (int i = 0; i < W; i++) out[i] = float(value[i]);
    return out;
}

template <int W, class T>
__device__ void store(T* p, const Vec<W>& x) {
    if constexpr (W == 1) {
        *p = T(x[0]);
    } else {
        constexpr int size = 16 / sizeof(T);
        UNROLL
        for (int i = 0; i < W; i += size) {
            Packed<T> raw;
            UNROLL
            for (int k = 0; k < size; k++) raw.v[k] = T(x[i + k]);
            void* to = p + i;
            std::memcpy(__builtin_assume_aligned(to, 16), &raw, 16);
        }
    }
}

inline bool aligned(const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; }  // null is

// Calls `then` with the widest vectors that fit rows of C elements at these addresses.
using Pointers = std::initializer_list<const void*>;
template <class Then>
void by_width(size_t C, Pointers pointers, Then then) {
    if (C % 8 == 0 && std::all_of(pointers.begin(), pointers.end(), aligned)) then(std::integral_constant<int, 8>{});
    else then(std::integral_constant<int, 1>{});
}

// Prefetches into the L2 cache. A warp that calls this with all its vectors requests each of their lines once.
__device__ inline void prefetch_line(const void* vector) {
    if (reinterpret_cast<uintptr_t>(vector) % 128 < 16) prefetch_l2(vector);
}

// Elementwise kernels: a thread owns one vector.
constexpr int flat_block = 256;
template <int W>
dim3 flat_grid(size_t n) {
    return unsigned(ceil_div(n, size_t(flat_block) * W));
}
template <int W>
__device__ size_t flat_index() {
    return (size_t(blockIdx.x) * flat_block + threadIdx.x) * W;
}

// exp; results below 2^-126 become 0.
__device__ inline float exp_approximate(float x) { return exp2_approximate(x * 1.4426950408889634f); }

// 0 where exp overflows.
__device__ inline float sigmoid_of(float x) { return reciprocal_approximate(1 + exp_approximate(-x)); }

// ---------------------------------------------------------------------------------------------------------------- sums
// Of a fixed order: the same bits on every run. Every thread of the warp (the block) must call, and gets the result.

__device__ inline float warp_sum(float x) {
    UNROLL
    for (int offset = warp_size / 2; offset > 0; offset /= 2) x += __shfl_xor_sync(~0u, x, offset);
    return x;
}
__device__ inline float warp_max(float x) {
    UNROLL
    for (int offset = warp_size / 2; offset > 0; offset /= 2) x = fmaxf(x, __shfl_xor_sync(~0u, x, offset));
    return x;
}

__device__ inline int thread_index() { return threadIdx.y * blockDim.x + threadIdx.x; }  // blocks are at most 2-D
__device__ inline int block_threads() { return blockDim.x * blockDim.y; }

// Leaves M values of every warp in shared memory where every thread may read them. Safe to call in a loop: the first
// barrier lets the last call's readers finish.
template <int M>
__device__ const float* exchange(const Vec<M>& of_warp) {
    __shared__ float values[M * warp_size];
    __syncthreads();
    if (thread_index() % warp_size == 0)
        for (int m = 0; m < M; m++) values[m * warp_size + thread_index() / warp_size] = of_warp[m];
    __syncthreads();
    return values;
}

template <int M>
__device__ Vec<M> block_sum(Vec<M> x) {
    for (int m = 0; m < M; m++) x[m] = warp_sum(x[m]);
    const float* warps = exchange(x);
    const int lane = thread_index() % warp_size, count = block_threads() / warp_size;
    for (int m = 0; m < M; m++) x[m] = warp_sum(lane < count ? warps[m * warp_size + lane] : 0.0f);
    return x;
}
__device__ inline float block_sum(float x) { return block_sum(Vec<1>{{x}})[0]; }

__device__ inline float block_max(float x) {
    const float* warps = exchange(Vec<1>{{warp_max(x)}});
    const int lane = thread_index() % warp_size, count = block_threads() / warp_size;
    return warp_max(warps[lane < count ? lane : 0]);
}

// out[c] += sum over r of partial[r][c], or =, the last step of a sum that many blocks share.
// A block owns 32 columns; its row y of threads adds up the rows y, y + 32, ...
// (A kernel in a header must be a template: there are no inline kernels.)
template <int column_rows>
__global__ void column_sum_kernel(float* out, const float* partial, Into into, int rows, int C) {
    __shared__ float sums[column_rows][warp_size];
    const int c = blockIdx.x * warp_size + threadIdx.x;
    float sum = 0;
    if (c < C)
        for (int r = threadIdx.y; r < rows; r += column_rows) sum += partial[size_t(r) * C + c];
    sums[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y > 0 || c >= C) return;
    for (int y = 1; y < column_rows; y++) sum += sums[y][threadIdx.x];
    out[c] = into == Into::add ? out[c] + sum : sum;
}
template <class T>
void column_sum(float* out, const float* partial, int rows, int C, Gpu<T> on) {
    constexpr int at_once = 32;
    launch(column_sum_kernel<at_once>, ceil_div(C, warp_size), dim3(warp_size, at_once), 0, on, out, partial, on.into,
           rows, C);
}

// ------------------------------------------------------------------------------------------------------------- dropout

// The factors of elements index .. index + W - 1. Vectors start at a multiple of 4, where a Philox call does.
template <int W>
__device__ Vec<W> dropout_factors(const Dropout& drop, const Noise& noise, uint64_t index) {
    const auto words = [&](uint64_t i) {
        return philox({{uint32_t(i >> 2), uint32_t(i >> 34), drop.site, noise.step}}, noise.seed);
    };
    const float kept = 1 / (1 - drop.p);
    const auto factor = [&](uint32_t word) { return uniform(word) < drop.p ? 0.0f : kept; };
    Vec<W> out;
    if constexpr (W == 1) {
        const Words r = words(index);  // no array indexed at run time: that would live in local memory
        const uint32_t low = index & 1 ? r.w[1] : r.w[0], high = index & 1 ? r.w[3] : r.w[2];
        out[0] = factor(index & 2 ? high : low);
    } else {
        UNROLL
        for (int i = 0; i < W; i += 4) {
            const Words r = words(index + i);
            UNROLL
            for (int k = 0; k < 4; k++) out[i + k] = factor(r.w[k]);
        }
    }
    return out;
}
