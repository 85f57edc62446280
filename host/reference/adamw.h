// AdamW (Loshchilov & Hutter 2019): one step over a flat buffer, the gradient clipped by its global norm.
//
//   g  = d_weight * min(1, clip / norm)        m = beta1 m + (1 - beta1) g        v = beta2 v + (1 - beta2) g^2
//   master -= lr (m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps) + decay master)        weight = master
//
//   A norm that is not finite changes nothing.
//   weight, master, m, v, d_weight (n)   each segment has its decay; where Real is Stat, master may be weight
#pragma once
#include <cmath>
#include <complex>
#include "parallel.h"

// The scalars of one step, in device memory. clip 0 = do not clip. correction = 1 - beta^t, t counting from 1.
struct AdamwStep {
    float lr, beta1, beta2, eps, clip, correction1, correction2;
};
struct AdamwSegment {
    size_t begin, size;
    float decay;
};  // of whole rows; segments ascend and do not overlap

template <class T>
void adamw_update(T* weight, T* master, T* m, T* v, const T* d_weight, const T* norm, const AdamwStep* step,
                  const AdamwSegment* segments, int count, Cpu<T>) {
    if (!std::isfinite(std::real(*norm))) return;
    const AdamwStep s = *step;
    const T clip = s.clip > 0 && std::real(*norm) > s.clip ? T(s.clip) / *norm : T(1);
    for (int k = 0; k < count; k++) {
        const size_t begin = segments[k].begin;
        const T decay = segments[k].decay, lr = s.lr, beta1 = s.beta1, beta2 = s.beta2, eps = s.eps;
        const T scale1 = T(1) / T(s.correction1), scale2 = T(1) / T(s.correction2);
        for_blocks(segments[k].size, [=](size_t first, size_t last) {
#pragma omp simd
            for (size_t i = begin + first; i < begin + last; i++) {
                const T g = d_weight[i] * clip;
                m[i] = beta1 * m[i] + (T(1) - beta1) * g;
                v[i] = beta2 * v[i] + (T(1) - beta2) * g * g;
                master[i] -= lr * (m[i] * scale1 / (std::sqrt(v[i] * scale2) + eps) + decay * master[i]);
                weight[i] = master[i];
            }
        });
    }
}
