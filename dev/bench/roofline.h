// The roofline: the least time for a piece of work, from the bytes it must move, its matmul operations and its
// exponentials, each over the GPU's rate. All three may overlap, so the longest counts.
#pragma once
#include <algorithm>
#include "host/plan/gpu_peaks.h"

struct Work {
    double bytes = 0;     // every input read once, every output written once
    double products = 0;  // operations of matmuls
    double exponentials = 0;
    Work operator*(double n) const { return {bytes * n, products * n, exponentials * n}; }
};

// What the best code reaches of a data sheet: the copies of one H200 ran at 4.3 of 4.8 TB/s, its cuBLAS products of
// random numbers at 790 of 989 TFLOP/s.
constexpr double reachable_memory = 0.9, reachable_products = 0.8;

inline double limit_seconds(const Work& w, double products, double memory, double exponentials) {
    return std::max({w.products / products, w.bytes / memory, w.exponentials / exponentials});
}
inline double predicted_seconds(const Work& w, const Peaks& p) {
    return limit_seconds(w, reachable_products * p.products, reachable_memory * p.memory, p.exponentials);
}
