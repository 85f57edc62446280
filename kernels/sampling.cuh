// Sampling: pick the next token of every row from its logits.
//
//   temperature 0: the largest logit, the lowest id among equals. Else softmax(logits / temperature) restricted to
//   the top_k largest, then to the fewest that reach probability top_p, then to those with at least min_p of the
//   largest; token = the first, in order of falling probability (id breaks ties), whose running sum exceeds u * (what
//   is left)
//
//   logits (B,P), columns V..P-1 padding   u (B) uniform in [0,1)   token (B)
//
// A block owns a row, and nothing is sorted: "the first whose running sum reaches X" is found bit by bit, from sums
// over the logits above a threshold. Probabilities are integers (a fraction of 2^40), so that a sum has no order to
// depend on.
#pragma once
#include <bit>
#include "../host/reference/sampling.h"
#include "common.cuh"

constexpr int sampling_block = 1024;
using Mass = unsigned long long;

// Integers in the order of the logits: larger is larger. bf16 needs its upper half only.
template <class T>
__device__ uint32_t sampling_key(float x) {
    uint32_t bits = std::bit_cast<uint32_t>(x);
    if (bits == 0x80000000u) bits = 0;                         // -0 equals 0
    bits ^= bits >> 31 ? 0xffffffffu : 0x80000000u;
    return sizeof(T) == 2 ? bits >> 16 : bits;
}

struct SamplingPlace { uint32_t key; int id; };                // in the order: falling key, then rising id

template <class Combine>
__device__ Mass sampling_combine(Mass x, Combine combine) {    // over the block; the order does not matter
    __shared__ Mass warps[warp_size], result;
    static_assert(sampling_block == warp_size * warp_size);
    const auto of_warp = [&](Mass y) {
        for (int offset = warp_size / 2; offset > 0; offset /= 2) y = combine(y, __shfl_xor_sync(~0u, y, offset));
        return y;
    };
    x = of_warp(x);
    if (threadIdx.x % warp_size == 0) warps[threadIdx.x / warp_size] = x;
    __syncthreads();
    if (threadIdx.x < warp_size) {
        x = of_warp(warps[threadIdx.x]);
        if (threadIdx.x == 0) result = x;
    }
    __syncthreads();
    return result;      // nobody writes it again before the next call's first barrier
}

// What is left of a row: the places up to `last` whose probability is at least `least`.
template <int W, class T>
struct SamplingRow {
    const T* logits;
    int V;
    float max, per_temperature;
    Mass least;
    SamplingPlace last;

    __device__ Mass mass(float x) const { return Mass(expf((x - max) * per_temperature) * 0x1p40f); }

    // The lowest id with this key.
    __device__ int first_of(uint32_t key) const {
        Mass first = V;
        for (int v = threadIdx.x; v < V; v += sampling_block)
            if (sampling_key<T>(float(logits[v])) == key) first = std::min(first, Mass(v));
        return sampling_combine(first, [](Mass a, Mass b) { return a < b ? a : b; });
    }

    // The sum over all that is left of what `weigh(key, id, mass)` says of it.
    template <class Weigh>
    __device__ Mass total(Weigh weigh) const {
        Mass sum = 0;
        for (int v = threadIdx.x * W; v < V; v += sampling_block * W) {
            const Vec<W> x = load<W>(logits + v);
            for (int i = 0; i < W; i++) {
                const uint32_t key = sampling_key<T>(x[i]);
                const bool left = v + i < V && (key > last.key || (key == last.key && v + i <= last.id));
                const Mass part = mass(x[i]);
                if (left && part >= least) sum += weigh(key, v + i, part);
            }
        }
        return sampling_combine(sum, [](Mass a, Mass b) { return a + b; });
    }

    // The first place whose running total of `value(mass)` reaches `wanted`, which must not exceed the total of all.
    template <class Value>
    __device__ SamplingPlace reach(Mass wanted, Value value) const {
        uint32_t key = 0;                                      // the largest that is still low enough
        for (int bit = 8 * sizeof(T) - 1; bit >= 0; bit--) {
            const uint32_t higher = key | 1u << bit;
            if (total([=](uint32_t k, int, Mass m) { return k >= higher ? value(m) : 0; }) >= wanted) key = higher;
        }
        // Among equals, the lowest id with as many up to it as are still needed; most often, the first.
        const Mass before = total([=](uint32_t k, int, Mass m) { return k > key ? value(m) : 0; });
        int id = first_of(key);
        if (before + value(mass(float(logits[id]))) >= wanted) return {key, id};
        for (int step = 1 << 30; step > 0; step /= 2) {
            if (step >= V) continue;
            const int end = id + step;
            const Mass sum = total([=](uint32_t k, int i, Mass m) { return k == key && i < end ? value(m) : 0; });
            if (before + sum < wanted) id = end;
        }
        return {key, id};
    }
};

template <int W, class T>
__global__ void __launch_bounds__(sampling_block, 1)
sampling_kernel(int* token, const T* logits, const float* u, Sampling how, int V, int P) {
    const T* row = logits + size_t(blockIdx.x) * P;
    Mass best = 0;                                             // the largest key, then the lowest id
    for (int v = threadIdx.x * W; v < V; v += sampling_block * W) {
        const Vec<W> x = load<W>(row + v);
        for (int i = 0; i < W; i++)
            if (v + i < V) best = std::max(best, Mass(sampling_key<T>(x[i])) << 32 | ~uint32_t(v + i));
    }
    best = sampling_combine(best, [](Mass a, Mass b) { return a > b ? a : b; });
    int picked = int(~uint32_t(best));
    if (how.temperature > 0) {
        SamplingRow<W, T> left{row, V, float(row[picked]), 1 / how.temperature, 0, {0, V}};
        const auto one = [](Mass) { return Mass(1); };
        const auto mass = [](Mass m) { return m; };
        const auto all = [](uint32_t, int, Mass m) { return m; };
        // x < 1 of a mass, rounded down: x as a fraction of 2^64.
        const auto share = [](Mass of, float x) { return __umul64hi(of, Mass(x * 0x1p24f) << 40); };

        if (how.top_k > 0 && how.top_k < V) left.last = left.reach(how.top_k, one);
        if (how.top_p < 1) left.last = left.reach(std::max(share(left.total(all), how.top_p), Mass(1)), mass);
        left.least = Mass(how.min_p * 0x1p40f);
        picked = left.reach(share(left.total(all), u[blockIdx.x]) + 1, mass).id;
    }
    if (threadIdx.x == 0) token[blockIdx.x] = picked;
}

template <class T>
void sampling_forward(int* token, const T* logits, const float* u, const Sampling& how, int B, int V, int P,
                      Gpu<T> on) {
    by_width(P, {logits},
             [&](auto W) { launch(sampling_kernel<W, T>, B, sampling_block, 0, on, token, logits, u, how, V, P); });
}
