// AdamW: one step over a flat buffer, gradient clipped by its global norm, decay apart from the gradient (Loshchilov &
// Hutter 2019).
//
//   g  = d_weight * min(1, clip / norm)        m = beta1 m + (1 - beta1) g        v = beta2 v + (1 - beta2) g^2
//   master -= lr (m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps) + decay master)        weight = master
//
//   A norm that is not finite changes nothing.
//   weight, master, m, v, d_weight (n)
//   segment s covers its elements with its decay; where Real is Stat, master may be weight
//   norm, step, segments in device memory, so that a captured step replays with new numbers
//
// One launch: the threads of the grid walk over the buffer side by side, 8 elements each, and each looks up its segment
// by walking along the table. Vectors that several segments (or none) share are done element by element.
#pragma once
#include "host/reference/adamw.h"
#include "kernels/tools/common.cuh"

constexpr int adamw_block = 256;

template <int W, class T>
__device__ void adamw_elements(T* weight, float* master, float* m, float* v, const float* d_weight, size_t i,
                               const AdamwStep& s, float clip, float decay) {
    const Vec<W> g = load<W>(d_weight + i);
    Vec<W> first = load<W>(m + i), second = load<W>(v + i), value = load<W>(master + i);
    const float scale1 = 1 / s.correction1, scale2 = 1 / s.correction2;
    for (int k = 0; k < W; k++) {
        const float clipped = g[k] * clip;
        first[k] = s.beta1 * first[k] + (1 - s.beta1) * clipped;
        second[k] = s.beta2 * second[k] + (1 - s.beta2) * clipped * clipped;
        value[k] -= s.lr * (__fdividef(first[k] * scale1, sqrtf(second[k] * scale2) + s.eps) + decay * value[k]);
    }
    store<W>(m + i, first);
    store<W>(v + i, second);
    store<W>(master + i, value);
    store<W>(weight + i, value);
}

template <class T>
__global__ void adamw_kernel(T* weight, float* master, float* m, float* v, const float* d_weight, const float* norm,
                             const AdamwStep* step, const AdamwSegment* segments, int count) {
    constexpr int W = 8;
    if (!isfinite(*norm)) return;
    const AdamwStep s = *step;
    const float clip = s.clip > 0 && *norm > s.clip ? s.clip / *norm : 1;
    const size_t n = segments[count - 1].begin + segments[count - 1].size;
    int k = 0;  // the first segment that ends beyond i
    for (size_t i = (size_t(blockIdx.x) * adamw_block + threadIdx.x) * W; i < n;
         i += size_t(gridDim.x) * adamw_block * W) {
        while (segments[k].begin + segments[k].size <= i) k++;
        if (segments[k].begin <= i && i + W <= segments[k].begin + segments[k].size) {
            adamw_elements<W>(weight, master, m, v, d_weight, i, s, clip, segments[k].decay);
            continue;
        }
#pragma unroll 1
        for (size_t j = i; j < std::min(i + W, n); j++) {
            while (segments[k].begin + segments[k].size <= j) k++;
            if (segments[k].begin <= j)
                adamw_elements<1>(weight, master, m, v, d_weight, j, s, clip, segments[k].decay);
        }
    }
}

template <class T>
void adamw_update(T* weight, float* master, float* m, float* v, const float* d_weight, const float* norm,
                  const AdamwStep* step, const AdamwSegment* segments, int count, Gpu<T> on) {
    if (count == 0) return;
    REQUIRE(aligned(weight) && aligned(master) && aligned(m) && aligned(v) && aligned(d_weight));
    launch(adamw_kernel<T>, 4 * on.sm_count, adamw_block, 0, on, weight, master, m, v, d_weight, norm, step, segments,
           count);
}
