// Functions that hardware approximates (PTX ISA 9.7.3): within the manual's bound, and exact where the manual has a
// table of results.
#include <algorithm>
#include <cmath>
#include "evaluation.h"

namespace ptx {
namespace {

float flushed(float x, bool ftz) { return ftz && std::fabs(x) < 0x1p-126f ? std::copysign(0.0f, x) : x; }

Answer within(double ideal, double error) { return {Answer::Kind::near, 0, ideal - error, ideal, ideal + error}; }
Answer relative(double ideal, double bound) { return within(ideal, std::fabs(ideal) * bound); }
Answer the(float x) { return exactly(bits_of(x)); }

// What a table says of the argument, or how near the result must be. With .ftz results too small to be normal are
// flushed.
using Function = Answer (*)(float);
Evaluate of_one(bool ftz, Function f) {
    return [=](const Bits* x) {
        const Answer a = f(flushed(as_float(x[0]), ftz));
        if (a.kind != Answer::Kind::near || !ftz || a.high >= 0x1p-125 || a.low <= -0x1p-125) return a;
        return std::fabs(a.ideal) < 0x1p-127 ? the(std::copysign(0.0f, float(a.ideal))) : unknown();
    };
}

Answer power(float x) {
    if (x != x) return some_nan();
    if (x == 0) return the(1);
    if (x >= 128) return the(HUGE_VALF);
    return x < -150 ? the(0) : relative(std::exp2(double(x)), 0x1p-22);
}
Answer logarithm(float x) {
    if (x != x || x < 0) return some_nan();
    if (x == 0) return the(-HUGE_VALF);
    if (std::isinf(x)) return the(x);
    const double ideal = std::log2(double(x));
    return x > 0.5f && x < 2 ? within(ideal, 0x1p-22) : relative(ideal, 0x1p-22);
}
Answer reciprocal(float x) {
    if (x != x) return some_nan();
    if (x == 0) return the(std::copysign(HUGE_VALF, x));
    if (std::isinf(x)) return the(std::copysign(0.0f, x));
    if (std::fabs(x) <= 0x1p-128f) return the(std::copysign(HUGE_VALF, x));
    return relative(1 / double(x), 0x1p-23);
}
Answer reciprocal_root(float x) {
    if (x != x || x < 0) return some_nan();
    if (x == 0) return the(std::copysign(HUGE_VALF, x));
    if (std::isinf(x)) return the(0);
    return relative(1 / std::sqrt(double(x)), std::exp2(-22.9));
}
Answer root(float x) {
    if (x != x || x < 0) return some_nan();
    if (x == 0 || std::isinf(x)) return the(x);
    return relative(std::sqrt(double(x)), 0x1p-23);
}
Answer wave(float x, double ideal) {  // beyond 100 pi the manual promises nothing
    constexpr double pi = 3.14159265358979323846;
    if (std::fabs(x) > 100 * pi) return unknown();
    return within(ideal, std::fabs(x) <= 2 * pi ? std::exp2(-20.5) : std::exp2(-14.7));
}
Answer sine(float x) {
    if (x != x || std::isinf(x)) return some_nan();
    return x == 0 ? the(x) : wave(x, std::sin(double(x)));
}
Answer cosine(float x) {
    if (x != x || std::isinf(x)) return some_nan();
    return x == 0 ? the(1) : wave(x, std::cos(double(x)));
}
Answer tangent(float x) {  // hyperbolic
    if (x != x) return some_nan();
    if (x == 0) return the(x);
    return std::isinf(x) ? the(std::copysign(1.0f, x)) : relative(std::tanh(double(x)), 0x1p-11);
}

double last_place(double ideal) {  // a unit of it
    int exponent;
    std::frexp(ideal, &exponent);
    return std::ldexp(1.0, std::max(exponent - 24, -149));
}
Answer ratio(float x, float y, bool ftz, bool full) {
    x = flushed(x, ftz), y = flushed(y, ftz);
    const double ideal = double(x) / double(y);
    if (ideal != ideal) return some_nan();
    if (!full && std::fabs(y) > 0x1p126f && !std::isinf(y))
        return std::isinf(x) ? some_nan() : the(std::copysign(0.0f, float(std::copysign(1, x) * std::copysign(1, y))));
    if (!full && std::fabs(y) < 0x1p-126f && y != 0) return unknown();
    if (ideal == 0 || std::isinf(ideal) || std::fabs(ideal) >= 0x1p128) return the(float(ideal));
    if (ftz && std::fabs(ideal) < 0x1p-125)
        return std::fabs(ideal) < 0x1p-127 ? the(std::copysign(0.0f, float(ideal))) : unknown();
    return within(ideal, 2 * last_place(ideal));
}

}  // namespace

void add_approximation_cases(Cases& all) {
    constexpr std::pair<const char*, Function> functions[] = {
        {"ex2", power}, {"lg2", logarithm}, {"rcp", reciprocal}, {"rsqrt", reciprocal_root},
        {"sqrt", root}, {"sin", sine},      {"cos", cosine}};
    for (const auto& [name, f] : functions)
        for (const bool ftz : {false, true})
            all[std::string(name) + (ftz ? ".approx.ftz.f32" : ".approx.f32")] = of_one(ftz, f);
    all["tanh.approx.f32"] = of_one(false, tangent);
    for (const bool full : {false, true})
        for (const bool ftz : {false, true})
            all[std::string(full ? "div.full" : "div.approx") + (ftz ? ".ftz.f32" : ".f32")] = [=](const Bits* x) {
                return ratio(as_float(x[0]), as_float(x[1]), ftz, full);
            };
}

}  // namespace ptx
