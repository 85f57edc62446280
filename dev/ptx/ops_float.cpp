// Floating-point numbers (PTX ISA 9.7.3, 9.7.5). Compiled so that every operation rounds by itself, as written.
#include <cfenv>
#include "approximate.h"
#include "operations.h"

namespace ptx {

Error approximation = Error::exact;

namespace {

float number(uint32_t bits) { return __builtin_bit_cast(float, bits); }
double number(uint64_t bits) { return __builtin_bit_cast(double, bits); }
uint32_t bits_of(float x) { return __builtin_bit_cast(uint32_t, x); }
uint64_t bits_of(double x) { return __builtin_bit_cast(uint64_t, x); }

template <class U>
using Float = std::conditional_t<sizeof(U) == 4, float, double>;

// .ftz: numbers too small to be normal are zero, going in and coming out.
template <bool ftz>
float flushed(float x) {
    if constexpr (!ftz) return x;
    return std::fabs(x) < 0x1p-126f ? std::copysign(0.0f, x) : x;
}
template <bool ftz>
float flushed(uint32_t bits) {
    return flushed<ftz>(number(bits));
}
template <bool ftz>
double flushed(double x) {
    return x;
}
template <bool ftz>
double flushed(uint64_t bits) {
    return number(bits);
}
float saturated(float x) { return x > 0 ? (x < 1 ? x : 1) : 0; }  // NaN becomes 0

// min and max: of a number and a NaN the number, and -0 is less than +0.
template <class T>
T less_of(T x, T y) {
    if (x != x) return y;
    if (y != y) return x;
    return x < y || (x == y && std::signbit(x)) ? x : y;
}
template <class T>
T greater_of(T x, T y) {
    if (x != x) return y;
    if (y != y) return x;
    return x > y || (x == y && !std::signbit(x)) ? x : y;
}

template <class U, bool ftz>
void add_arithmetic(Operations& all, const std::string& suffix) {
    using F = Float<U>;
    for (const std::string& rounding : {std::string(), std::string(".rn")}) {
        const std::string end = rounding + suffix;
        add<U, U, U>(all, "add" + end,
                     [](U x, U y) { return bits_of(flushed<ftz>(flushed<ftz>(x) + flushed<ftz>(y))); });
        add<U, U, U>(all, "sub" + end,
                     [](U x, U y) { return bits_of(flushed<ftz>(flushed<ftz>(x) - flushed<ftz>(y))); });
        add<U, U, U>(all, "mul" + end,
                     [](U x, U y) { return bits_of(flushed<ftz>(flushed<ftz>(x) * flushed<ftz>(y))); });
    }
    add<U, U, U, U>(all, "fma.rn" + suffix, [](U x, U y, U z) {
        return bits_of(flushed<ftz>(std::fma(flushed<ftz>(x), flushed<ftz>(y), flushed<ftz>(z))));
    });
    add<U, U, U>(all, "min" + suffix, [](U x, U y) { return bits_of(less_of(flushed<ftz>(x), flushed<ftz>(y))); });
    add<U, U, U>(all, "max" + suffix, [](U x, U y) { return bits_of(greater_of(flushed<ftz>(x), flushed<ftz>(y))); });
    add<U, U>(all, "neg" + suffix, [](U x) { return U(bits_of(flushed<ftz>(x)) ^ U(1) << (8 * sizeof(U) - 1)); });
    add<U, U>(all, "abs" + suffix, [](U x) { return U(bits_of(flushed<ftz>(x)) & ~(U(1) << (8 * sizeof(U) - 1))); });
    add<U, U, U>(all, "div.rn" + suffix,
                 [](U x, U y) { return bits_of(flushed<ftz>(F(flushed<ftz>(x) / flushed<ftz>(y)))); });
    add<U, U>(all, "rcp.rn" + suffix, [](U x) { return bits_of(flushed<ftz>(F(1 / flushed<ftz>(x)))); });
    add<U, U>(all, "sqrt.rn" + suffix, [](U x) { return bits_of(F(std::sqrt(flushed<ftz>(x)))); });
    add_comparison<U>(all, "setp.eq" + suffix, [](U x, U y) { return flushed<ftz>(x) == flushed<ftz>(y); });
    add_comparison<U>(all, "setp.lt" + suffix, [](U x, U y) { return flushed<ftz>(x) < flushed<ftz>(y); });
    add_comparison<U>(all, "setp.le" + suffix, [](U x, U y) { return flushed<ftz>(x) <= flushed<ftz>(y); });
    add_comparison<U>(all, "setp.gt" + suffix, [](U x, U y) { return flushed<ftz>(x) > flushed<ftz>(y); });
    add_comparison<U>(all, "setp.ge" + suffix, [](U x, U y) { return flushed<ftz>(x) >= flushed<ftz>(y); });
    add_comparison<U>(all, "setp.ne" + suffix, [](U x, U y) {
        const F a = flushed<ftz>(x), b = flushed<ftz>(y);
        return a < b || a > b;
    });
    // Those with a u are true when one is NaN.
    add_comparison<U>(all, "setp.equ" + suffix, [](U x, U y) {
        const F a = flushed<ftz>(x), b = flushed<ftz>(y);
        return !(a < b || a > b);
    });
    add_comparison<U>(all, "setp.neu" + suffix, [](U x, U y) { return flushed<ftz>(x) != flushed<ftz>(y); });
    add_comparison<U>(all, "setp.ltu" + suffix, [](U x, U y) { return !(flushed<ftz>(x) >= flushed<ftz>(y)); });
    add_comparison<U>(all, "setp.leu" + suffix, [](U x, U y) { return !(flushed<ftz>(x) > flushed<ftz>(y)); });
    add_comparison<U>(all, "setp.gtu" + suffix, [](U x, U y) { return !(flushed<ftz>(x) <= flushed<ftz>(y)); });
    add_comparison<U>(all, "setp.geu" + suffix, [](U x, U y) { return !(flushed<ftz>(x) < flushed<ftz>(y)); });
    add_comparison<U>(all, "setp.num" + suffix,
                      [](U x, U y) { return number(x) == number(x) && number(y) == number(y); });
    add_comparison<U>(all, "setp.nan" + suffix,
                      [](U x, U y) { return number(x) != number(x) || number(y) != number(y); });
}

// The others round by the CPU's own mode.
template <int mode, class F>
__attribute__((optimize("rounding-math"))) float rounded(F f) {
    std::fesetround(mode);
    const volatile float result = f();
    std::fesetround(FE_TONEAREST);
    return result;
}
template <int mode>
void add_rounded(Operations& all, const std::string& suffix) {
    using U = uint32_t;
    add<U, U, U>(all, "add" + suffix, [](U x, U y) {
        const volatile float a = number(x), b = number(y);
        return bits_of(rounded<mode>([&] { return a + b; }));
    });
    add<U, U, U>(all, "mul" + suffix, [](U x, U y) {
        const volatile float a = number(x), b = number(y);
        return bits_of(rounded<mode>([&] { return a * b; }));
    });
    add<U, U, U, U>(all, "fma" + suffix, [](U x, U y, U z) {
        const volatile float a = number(x), b = number(y), c = number(z);
        return bits_of(rounded<mode>([&] { return std::fma(a, b, c); }));
    });
}

float sine(float x, double exact) { return x == 0 ? float(exact) : approximate(exact, error_of_waves(x), bits_of(x)); }

// Of a quotient; `full`: for any divisor.
template <bool ftz, bool full>
float approximate_quotient(uint32_t a, uint32_t b) {
    const float x = flushed<ftz>(a), y = flushed<ftz>(b);
    const bool beyond = !full && std::fabs(y) > 0x1p126f && std::fabs(y) <= 0x1.fffffep127f;
    if (beyond) return std::fabs(x) * 0 == 0 ? std::copysign(0.0f, x) * std::copysign(1.0f, y) : NAN;
    const double exact = double(x) / double(y);
    if (ftz && std::fabs(exact) < 0x1p-126) return std::copysign(0.0f, float(exact));
    return flushed<ftz>(approximate(exact, 2 * last_place(exact), a ^ b));
}

template <bool ftz>
void add_approximate(Operations& all, const std::string& suffix) {
    using U = uint32_t;
    add<U, U>(all, "ex2.approx" + suffix, [](U bits) {
        const float x = flushed<ftz>(bits);
        const double exact = std::exp2(double(x));
        return bits_of(flushed<ftz>(x == 0 ? 1.0f : approximate(exact, exact * 0x1p-22, bits)));
    });
    add<U, U>(all, "lg2.approx" + suffix, [](U bits) {
        const float x = flushed<ftz>(bits);
        const double exact = std::log2(double(x));
        return bits_of(approximate(exact, x > 0.5f && x < 2 ? 0x1p-22 : std::fabs(exact) * 0x1p-22, bits));
    });
    add<U, U>(all, "rcp.approx" + suffix, [](U bits) {
        const double exact = 1 / double(flushed<ftz>(bits));
        return bits_of(flushed<ftz>(approximate(exact, std::fabs(exact) * 0x1p-23, bits)));
    });
    add<U, U>(all, "rsqrt.approx" + suffix, [](U bits) {
        const float x = flushed<ftz>(bits);
        const double exact = x == 0 ? std::copysign(HUGE_VAL, x) : 1 / std::sqrt(double(x));
        return bits_of(approximate(exact, exact * 0x1.125fbp-23, bits));  // 2^-22.9
    });
    add<U, U>(all, "sqrt.approx" + suffix, [](U bits) {
        const double exact = std::sqrt(double(flushed<ftz>(bits)));
        return bits_of(approximate(exact, exact * 0x1p-23, bits));
    });
    add<U, U, U>(all, "div.approx" + suffix, [](U x, U y) { return bits_of(approximate_quotient<ftz, false>(x, y)); });
    add<U, U, U>(all, "div.full" + suffix, [](U x, U y) { return bits_of(approximate_quotient<ftz, true>(x, y)); });
    add<U, U>(all, "sin.approx" + suffix,
              [](U x) { return bits_of(flushed<ftz>(sine(flushed<ftz>(x), std::sin(double(flushed<ftz>(x)))))); });
    add<U, U>(all, "cos.approx" + suffix,
              [](U x) { return bits_of(flushed<ftz>(sine(flushed<ftz>(x), std::cos(double(flushed<ftz>(x)))))); });
}

}  // namespace

void add_float_operations(Operations& all) {
    using U = uint32_t;
    add_arithmetic<uint32_t, false>(all, ".f32");
    add_arithmetic<uint32_t, true>(all, ".ftz.f32");
    add_arithmetic<uint64_t, false>(all, ".f64");
    add_rounded<FE_TOWARDZERO>(all, ".rz.f32");
    add_rounded<FE_DOWNWARD>(all, ".rm.f32");
    add_rounded<FE_UPWARD>(all, ".rp.f32");
    add_approximate<false>(all, ".f32");
    add_approximate<true>(all, ".ftz.f32");
    add<U, U>(all, "tanh.approx.f32", [](U x) {
        const double exact = std::tanh(double(number(x)));
        return bits_of(std::fabs(number(x)) <= 0x1.fffffep127f ? approximate(exact, std::fabs(exact) * 0x1p-11, x)
                                                               : float(exact));
    });
    add<U, U, U>(all, "add.sat.f32", [](U x, U y) { return bits_of(saturated(number(x) + number(y))); });
    add<U, U, U>(all, "mul.sat.f32", [](U x, U y) { return bits_of(saturated(number(x) * number(y))); });
    add<U, U, U, U>(all, "fma.rn.sat.f32",
                    [](U x, U y, U z) { return bits_of(saturated(std::fma(number(x), number(y), number(z)))); });
    add<U, U>(all, "cvt.sat.f32.f32", [](U x) { return bits_of(saturated(number(x))); });
    add<U, U, U>(all, "copysign.f32", [](U sign, U x) { return (x & 0x7fffffff) | (sign & 0x80000000); });
}

}  // namespace ptx
