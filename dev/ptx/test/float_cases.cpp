// Floating-point numbers (PTX ISA 9.7.3, 9.7.6): exact in 113 bits and a rest, then rounded once.
#include <algorithm>
#include <cmath>
#include "evaluation.h"

namespace ptx {
namespace {

struct Type {
    bool is_double, ftz = false, is_brain = false;
    const Format& format() const { return is_double ? twice : is_brain ? brain : single; }
    double operator()(Bits bits) const {
        if (is_brain) return as_float(cut(bits, 16) << 16);
        if (is_double) return as_double(bits);
        const float x = as_float(bits);
        return ftz ? flushed(x) : x;
    }
    static float flushed(float x) { return std::fabs(x) < 0x1p-126f ? std::copysign(0.0f, x) : x; }
    // The number must be one of the format.
    Answer answer(Quad x) const {
        if (is_double) return exactly(bits_of(double(x)));
        if (is_brain) return exactly(bits_of(float(x)) >> 16);
        return exactly(bits_of(ftz ? flushed(float(x)) : float(x)));
    }
    Answer zero(bool negative) const { return answer(negative ? Quad(-0.0) : Quad(0.0)); }
};

// x + y, where y has what is lost of both (Knuth's TwoSum).
Answer sum(Type t, Quad x, Quad y, Rounding rounding) {
    const Quad s = x + y, part = s - x, rest = (x - (s - part)) + (y - part);
    if (s != s) return some_nan();
    if (std::isinf(static_cast<long double>(s))) return t.answer(s);
    if (s == 0) {  // x == -y, or zeros
        const bool minus_x = std::signbit(static_cast<long double>(x)),
                   minus_y = std::signbit(static_cast<long double>(y));
        return t.zero(minus_x == minus_y ? minus_x : rounding == Rounding::down);
    }
    return t.answer(rounded(s, rest, t.format(), rounding));
}
Answer product(Type t, double x, double y, Rounding rounding) {
    const Quad p = Quad(x) * Quad(y);  // exact
    if (p != p) return some_nan();
    if (p == 0) return t.zero(std::signbit(x) != std::signbit(y));
    if (std::isinf(x) || std::isinf(y)) return t.answer(p);
    const Answer a = t.answer(rounded(p, 0, t.format(), rounding));
    return a;
}
Answer fused(Type t, double x, double y, double z, Rounding rounding) {
    if (std::isinf(x) || std::isinf(y) || std::isinf(z) || x != x || y != y || z != z) {
        const double p =
            (x == 0 || y == 0) && (std::isinf(x) || std::isinf(y))
                ? NAN
                : std::copysign(1, x) * std::copysign(1, y) * (std::isinf(x) || std::isinf(y) ? HUGE_VAL : 0);
        const double r = x != x || y != y ? NAN : p + z;
        return r != r ? some_nan() : t.answer(r);
    }
    return sum(t, Quad(x) * Quad(y), z, rounding);
}
Answer ratio(Type t, double x, double y) {
    const Quad q = Quad(x) / Quad(y);
    if (q != q) return some_nan();
    if (q == 0 || std::isinf(y)) return t.zero(std::signbit(x) != std::signbit(y));
    if (std::isinf(x) || y == 0) return t.answer(q);
    return t.answer(rounded(q, 0, t.format()));  // 113 bits are more than twice 53 and one
}
Answer root(Type t, double x) {
    if (x < 0 || x != x) return some_nan();
    if (x == 0 || std::isinf(x)) return t.answer(x);
    // The number whose neighbours' midpoints have squares on both sides of x, from a guess.
    const auto above = [&](Quad mid) { return mid * mid > Quad(x); };
    const auto step = [&](double from, double to) {
        return t.is_double ? std::nextafter(from, to) : double(std::nextafter(float(from), float(to)));
    };
    double r = t.is_double ? std::sqrt(x) : double(float(std::sqrt(x)));
    while (above((Quad(r) + Quad(step(r, 0))) / 2)) r = step(r, 0);
    while (!above((Quad(r) + Quad(step(r, HUGE_VAL))) / 2)) r = step(r, HUGE_VAL);
    return t.answer(r);
}
bool minus(double x) { return std::signbit(x); }
Answer extreme(Type t, double x, double y, bool least) {
    if (x != x && y != y) return some_nan();
    if (x != x || y != y) return t.answer(x != x ? y : x);
    if (x == 0 && y == 0) return t.zero(least ? minus(x) || minus(y) : minus(x) && minus(y));
    return t.answer((x < y) == least ? x : y);
}

void add_arithmetic(Cases& all, Type t, const std::string& end, Rounding r = Rounding::nearest) {
    all["add" + end] = [=](const Bits* x) { return sum(t, t(x[0]), t(x[1]), r); };
    all["mul" + end] = [=](const Bits* x) { return product(t, t(x[0]), t(x[1]), r); };
    if (r == Rounding::nearest) all["sub" + end] = [=](const Bits* x) { return sum(t, t(x[0]), -t(x[1]), r); };
}
void add_fused(Cases& all, Type t, const std::string& end, Rounding r = Rounding::nearest) {
    all["fma" + end] = [=](const Bits* x) { return fused(t, t(x[0]), t(x[1]), t(x[2]), r); };
}

void add_others(Cases& all, Type t, const std::string& end) {
    all["div.rn" + end] = [=](const Bits* x) { return ratio(t, t(x[0]), t(x[1])); };
    all["rcp.rn" + end] = [=](const Bits* x) { return ratio(t, 1, t(x[0])); };
    all["sqrt.rn" + end] = [=](const Bits* x) { return root(t, t(x[0])); };
    all["min" + end] = [=](const Bits* x) { return extreme(t, t(x[0]), t(x[1]), true); };
    all["max" + end] = [=](const Bits* x) { return extreme(t, t(x[0]), t(x[1]), false); };
    all["neg" + end] = [=](const Bits* x) {
        const double a = t(x[0]);
        return a != a ? some_nan() : a == 0 ? t.zero(!minus(a)) : t.answer(-Quad(a));
    };
    all["abs" + end] = [=](const Bits* x) {
        const double a = t(x[0]);
        return a != a ? some_nan() : a == 0 ? t.zero(false) : t.answer(a < 0 ? -a : a);
    };
}

// Each comparison is true of less, of equal, of greater numbers, of NaNs.
struct Comparison {
    const char* name;
    bool less, equal, greater, nan;
};
constexpr Comparison comparisons[] = {
    {"eq", false, true, false, false}, {"ne", true, false, true, false},  {"lt", true, false, false, false},
    {"le", true, true, false, false},  {"gt", false, false, true, false}, {"ge", false, true, true, false},
    {"equ", false, true, false, true}, {"neu", true, false, true, true},  {"ltu", true, false, false, true},
    {"leu", true, true, false, true},  {"gtu", false, false, true, true}, {"geu", false, true, true, true},
    {"num", true, true, true, false},  {"nan", false, false, false, true}};
void add_comparisons(Cases& all, Type t, const std::string& end) {
    for (const Comparison& c : comparisons)
        all["setp." + (c.name + end)] = [=](const Bits* x) {
            const double a = t(x[0]), b = t(x[1]);
            return exactly(a < b ? c.less : a > b ? c.greater : a == b ? c.equal : c.nan);
        };
}

Answer saturated(const Answer& a) {
    if (a.kind == Answer::Kind::nan) return exactly(0);
    const float x = as_float(a.bits);
    return exactly(x <= 0 ? 0 : x >= 1 ? bits_of(1.0f) : a.bits);
}

}  // namespace

void add_float_cases(Cases& all) {
    for (const auto& [end, t] :
         {std::pair<std::string, Type>{".f32", {false}}, {".ftz.f32", {false, true}}, {".f64", {true}}}) {
        add_arithmetic(all, t, end);
        add_arithmetic(all, t, ".rn" + end);
        add_fused(all, t, ".rn" + end);
        add_others(all, t, end);
        add_comparisons(all, t, end);
    }
    const Type f32{false};
    for (const auto& [name, r] : {std::pair(".rz", Rounding::zero), {".rm", Rounding::down}, {".rp", Rounding::up}}) {
        add_arithmetic(all, f32, name + std::string(".f32"), r);
        add_fused(all, f32, name + std::string(".f32"), r);
    }
    // Of bf16 there is one NaN (9.7.4.5).
    const auto half = [b = Type{false, false, true}](Bits x, Bits y, Bits z) {
        const Answer a = fused(b, b(x), b(y), b(z), Rounding::nearest);
        return a.kind == Answer::Kind::nan ? 0x7fff : a.bits;
    };
    all["fma.rn.bf16"] = [=](const Bits* x) { return exactly(half(x[0], x[1], x[2])); };
    all["fma.rn.bf16x2"] = [=](const Bits* x) {
        return exactly(half(x[0] >> 16, x[1] >> 16, x[2] >> 16) << 16 | half(x[0], x[1], x[2]));
    };
    for (const auto& [name, plain] :
         {std::pair("add.sat.f32", "add.f32"), {"mul.sat.f32", "mul.f32"}, {"fma.rn.sat.f32", "fma.rn.f32"}})
        all[name] = [f = all.at(plain)](const Bits* x) { return saturated(f(x)); };
    all["cvt.sat.f32.f32"] = [=](const Bits* x) {
        const float a = as_float(x[0]);
        return saturated(a != a ? some_nan() : exactly(x[0]));
    };
    all["copysign.f32"] = [](const Bits* x) { return exactly(cut(x[1], 31) | (x[0] >> 31) << 31); };
}

}  // namespace ptx
