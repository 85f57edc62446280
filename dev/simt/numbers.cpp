// Arithmetic that must round exactly as written. This file is compiled without the options that let sums be reordered.
#include <cmath>
#include "include/cuda_bf16.h"

float __fmaf_rn(float x, float y, float z) { return std::fmaf(x, y, z); }
float __fadd_rn(float x, float y) { return x + y; }
float __fsub_rn(float x, float y) { return x - y; }
float __fmul_rn(float x, float y) { return x * y; }

namespace {

// The exact sum high + low, rounded to a double whose last bit says "not exact": rounding that again, to fewer bits,
// equals rounding the exact value (Boldo and Melquiond 2008).
double round_to_odd(double high, double low) {
    uint64_t bits = __builtin_bit_cast(uint64_t, high);
    if (low == 0 || std::isnan(low) || bits & 1) return high;
    bits += (low > 0) == (high > 0) ? 1 : -1;
    return __builtin_bit_cast(double, bits);
}

// A double to bf16, rounded once. Float is a step on the way: its last bit must say "not exact" too.
__nv_bfloat16 from_double(double x) {
    float f = float(x);
    if (double(f) != x && !std::isnan(x) && !std::isinf(x)) {
        if (std::isinf(f) || std::fabs(double(f)) > std::fabs(x)) f = std::nextafterf(f, 0.0f);  // towards zero ...
        f = __builtin_bit_cast(float, __builtin_bit_cast(unsigned, f) | 1);                      // ... then odd
        if (f == 0) f = std::copysign(1e-45f, float(std::copysign(1.0, x)));
    }
    return f;
}

// The bf16 next to zero from x, and whether something was cut off.
__nv_bfloat16 cut(float x, bool& inexact) {
    const unsigned bits = __builtin_bit_cast(unsigned, x);
    inexact = bits & 0xffff;
    return __nv_bfloat16_raw{static_cast<unsigned short>(bits >> 16)};
}

}  // namespace

__nv_bfloat16::__nv_bfloat16(double x) : bits(from_double(x).bits) {}

__nv_bfloat16 __hfma(__nv_bfloat16 a, __nv_bfloat16 b, __nv_bfloat16 c) {
    const double product = double(float(a)) * double(float(b)), addend = float(c),
                 sum = product + addend;  // the product is exact
    if (std::isnan(sum) || std::isinf(sum)) return sum;
    const double part = sum - product, rest = (product - (sum - part)) + (addend - part);  // Knuth's two-sum
    return from_double(round_to_odd(sum, rest));
}

__nv_bfloat16 __float2bfloat16_rz(float x) {
    bool inexact;
    return std::isnan(x) ? __float2bfloat16(x) : cut(x, inexact);
}
__nv_bfloat16 __float2bfloat16_rd(float x) {
    bool inexact;
    if (std::isnan(x)) return x;
    const __nv_bfloat16 t = cut(x, inexact);
    return std::signbit(x) && inexact ? __ushort_as_bfloat16(static_cast<unsigned short>(t.bits + 1)) : t;
}
__nv_bfloat16 __float2bfloat16_ru(float x) {
    bool inexact;
    if (std::isnan(x)) return x;
    const __nv_bfloat16 t = cut(x, inexact);
    return !std::signbit(x) && inexact ? __ushort_as_bfloat16(static_cast<unsigned short>(t.bits + 1)) : t;
}
