// The roofline: the least time for a piece of work (host/plan/work.h), by what the best code reaches of a data sheet.
#pragma once
#include "host/plan/gpu_peaks.h"
#include "host/plan/work.h"

// The copies of one H200 ran at 4.3 of 4.8 TB/s, its cuBLAS products of random numbers at 790 of 989 TFLOP/s.
constexpr double reachable_memory = 0.9, reachable_products = 0.8;

inline double predicted_seconds(const Work& w, const Peaks& p) {
    return limit_seconds(w, reachable_products * p.products, reachable_memory * p.memory, p.exponentials);
}
