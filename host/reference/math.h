// Elementary functions for any T of Cpu<T>; the float versions are branch-free, so that loops over them vectorise.
#pragma once
#include <bit>
#include <cmath>
#include <complex>
#include <cstdint>

// e^x to 2 ulp (Cody-Waite reduction, degree 7), flushed at the ends of the normal range instead of 0 and infinity.
inline float exp_of(float x) {
    x = x < -87.33f ? -87.33f : x;
    x = x > 88.37f ? 88.37f : x;
    const float n = std::rint(x * 1.44269504f);
    const float r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
    float p = 1.98412698e-4f;
    for (float c : {1.38888889e-3f, 8.33333333e-3f, 4.16666667e-2f, 1.66666667e-1f, 0.5f, 1.0f, 1.0f}) p = p * r + c;
    return p * std::bit_cast<float>((int32_t(n) + 127) << 23);
}
template <class T>
T exp_of(T x) {
    return std::exp(x);
}

template <class T>
T sigmoid(T x) {
    return T(1) / (T(1) + exp_of(-x));
}

// sigmoid(x) and sigmoid(-x), in neither of which anything cancels.
template <class T>
struct Sigmoids {
    T plus, minus;
};
template <class T>
Sigmoids<T> sigmoids(T x) {
    return {sigmoid(x), sigmoid(-x)};
}
// By one exponential, which ends at e^60: compilers multiply both in any order, by e before what makes it small.
inline Sigmoids<float> sigmoids(float x) {
    const float e = exp_of(x < -60 ? 60 : -x), plus = 1 / (1 + e);
    return {plus, e * plus};
}
