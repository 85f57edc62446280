// Functions that hardware approximates: exact, or wrong by as much as the PTX manual allows. A test must hold for each.
#pragma once
#include <cmath>
#include <cstdint>

namespace ptx {

// exact: correctly rounded. up, down: always at the edge of the bound. scattered: anywhere within it, the same for
// the same input.
enum class Error { exact, up, down, scattered };
extern Error approximation;  // of all kernels; set by the order in which they run (warp.cpp)

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

inline float off_by_relative(float exact, uint32_t input, float bound) {
    return approximation == Error::exact ? exact : exact + exact * (bound * direction(input));
}
inline float off_by_absolute(float exact, uint32_t input, float bound) {
    return approximation == Error::exact ? exact : exact + bound * direction(input);
}

}  // namespace ptx
