// What a kernel has to do at least, and the time below which it cannot be: bytes, operations of matmuls and
// exponentials, each over the GPU's rate. All three may overlap, so the longest counts.
#pragma once
#include <algorithm>

struct Work {
    double bytes = 0;     // every input read once, every output written once
    double products = 0;  // operations of matmuls
    double exponentials = 0;
    Work operator*(double n) const { return {bytes * n, products * n, exponentials * n}; }
};

inline double limit_seconds(const Work& w, double products, double memory, double exponentials) {
    return std::max({w.products / products, w.bytes / memory, w.exponentials / exponentials});
}
