// host/reference/tolerance.h for what kernels compute.
#pragma once
#include "gpu.cuh"
#include "host/reference/tolerance.h"

// Arithmetic is float; storage rounds the result once more, by half a unit in the last of bf16's 8 bits.
template <>
inline double tolerance<bf16>(double terms) {
    return 0x1p-8 + tolerance<float>(terms);
}

// Results that are sums of products whose `factors` factors were rounded to bf16 on the way, as tensor cores need
// them, which adds to the tolerance: a factor is off by up to 2^-8 of itself if its digits are 1.00.., by half of that
// if they are 1.99..; evenly, and over all digits with a mean square of 0.54 2^-16 / 3. `row` neighbours share their
// factors.
struct Rounded {
    int factors = 0;
    size_t row = 0;
    template <class T>
    double tolerance() const {
        return std::is_same_v<T, bf16> ? 4 * 0x1p-8 * std::sqrt(0.54 * factors / 3) : 0;
    }
};
