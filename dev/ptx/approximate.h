// Functions that hardware approximates: exact, or wrong by as much as the PTX manual allows. A test must hold for each.
#pragma once
#include <cmath>
#include <cstdint>

namespace ptx {

// exact: correctly rounded. up, down: always at the edge of the bound. scattered: anywhere within it, the same for
// the same input.
enum class Error { exact, up, down, scattered };
extern Error approximation;  // of all kernels; set by the order in which they run (machine.cpp)

// A number from -1 to 1.
inline float direction(uint32_t input) {
    switch (approximation) {
        case Error::exact: return 0;
        case Error::up: return 1;
        case Error::down: return -1;
        case Error::scattered: break;
    }
    input = (input ^ input >> 16) * 0x7feb352d;
    input = (input ^ input >> 15) * 0x846ca68b;
    return float(int32_t(input)) * 0x1p-31f;
}

// `exact` off by `error` in that direction: the last float that is within the error, or the nearest where none is.
inline float approximate(double exact, double error, uint32_t input) {
    const float nearest = float(exact);
    if (approximation == Error::exact || !(error > 0) || std::fabs(exact) > 0x1.fffffep127) return nearest;
    const float far = float(exact + error * double(direction(input)));
    const auto fits = [&](float x) { return std::fabs(double(x) - exact) <= error; };
    if (fits(far)) return far;
    const float less_far = std::nextafter(far, nearest);
    return fits(less_far) ? less_far : nearest;
}

inline double last_place(double x) {  // a unit of it in a float; of 0 there is none
    if (x == 0) return 0;
    const int exponent = int(__builtin_bit_cast(uint64_t, x) >> 52 & 0x7ff) - 1023;
    return std::ldexp(1.0, exponent < -126 ? -149 : exponent - 23);
}

// Of sin.approx and cos.approx; of arguments beyond 100 pi the manual says nothing.
inline double error_of_waves(float x) {
    return std::fabs(x) <= 6.2831853f ? 0x1.6a09ep-21 : 0x1.3b2c4p-15;
}  // 2^-20.5, 2^-14.7

}  // namespace ptx
