// Conversions (PTX ISA 9.7.9.21).
#include <cmath>
#include <limits>
#include "operations.h"

namespace ptx {
namespace {

struct Nearest {
    template <class F>
    F operator()(F x) const {
        return std::nearbyint(x);
    }
};
struct Zero {
    template <class F>
    F operator()(F x) const {
        return std::trunc(x);
    }
};
struct Down {
    template <class F>
    F operator()(F x) const {
        return std::floor(x);
    }
};
struct Up {
    template <class F>
    F operator()(F x) const {
        return std::ceil(x);
    }
};

template <class U>
auto number(U bits) {
    if constexpr (sizeof(U) == 4) return __builtin_bit_cast(float, bits);
    else return __builtin_bit_cast(double, bits);
}

// A float to a whole number: out of range it is the nearest there is. NaN is zero, or where 64 bits take part the
// highest bit.
template <class T, class F>
T whole(F x) {
    if (x != x) return sizeof(F) == 8 || sizeof(T) == 8 ? T(std::make_unsigned_t<T>(1) << (8 * sizeof(T) - 1)) : T(0);
    constexpr F low = F(std::numeric_limits<T>::min()), high = F(std::numeric_limits<T>::max());
    return x <= low ? std::numeric_limits<T>::min() : x >= high ? std::numeric_limits<T>::max() : T(x);
}

template <class T, class F, class Round>
void add_float_to_whole(Operations& all, const std::string& round, const std::string& types) {
    using From = std::conditional_t<sizeof(F) == 4, uint32_t, uint64_t>;
    using To = std::make_unsigned_t<T>;
    add<To, From>(all, "cvt." + round + types, [](From x) { return To(whole<T>(Round()(number(x)))); });
    if constexpr (sizeof(F) == 4)
        add<To, From>(all, "cvt." + round + ".ftz" + types, [](From x) {
            return To(whole<T>(Round()(std::fabs(number(x)) < 0x1p-126f ? 0.0f : number(x))));
        });
}

// Whole numbers as floats that are not above, or not below, them.
using Exact = __int128;
template <class F, class T>
F rounded_down(T x) {
    const F nearest = F(x);
    return Exact(nearest) > Exact(x) ? std::nextafter(nearest, -F(HUGE_VAL)) : nearest;
}
template <class F, class T>
F rounded_up(T x) {
    const F nearest = F(x);
    return Exact(nearest) < Exact(x) ? std::nextafter(nearest, F(HUGE_VAL)) : nearest;
}

template <class T, class F>
void add_both_ways(Operations& all, const std::string& type, const std::string& real) {
    using Whole = std::make_unsigned_t<T>;
    using Real = std::conditional_t<sizeof(F) == 4, uint32_t, uint64_t>;
    const std::string types = "." + type + "." + real;
    add_float_to_whole<T, F, Nearest>(all, "rni", types);
    add_float_to_whole<T, F, Zero>(all, "rzi", types);
    add_float_to_whole<T, F, Down>(all, "rmi", types);
    add_float_to_whole<T, F, Up>(all, "rpi", types);
    add<Real, Whole>(all, "cvt.rn." + real + "." + type, [](Whole x) { return __builtin_bit_cast(Real, F(T(x))); });
    add<Real, Whole>(all, "cvt.rm." + real + "." + type,
                     [](Whole x) { return __builtin_bit_cast(Real, rounded_down<F>(T(x))); });
    add<Real, Whole>(all, "cvt.rp." + real + "." + type,
                     [](Whole x) { return __builtin_bit_cast(Real, rounded_up<F>(T(x))); });
    add<Real, Whole>(all, "cvt.rz." + real + "." + type, [](Whole x) {
        return __builtin_bit_cast(Real, T(x) < T(0) ? rounded_up<F>(T(x)) : rounded_down<F>(T(x)));
    });
}

template <class U>
void add_to_integral(Operations& all, const std::string& type) {  // floats that are whole
    const std::string types = "." + type + "." + type;
    add<U, U>(all, "cvt.rni" + types, [](U x) { return __builtin_bit_cast(U, std::nearbyint(number(x))); });
    add<U, U>(all, "cvt.rzi" + types, [](U x) { return __builtin_bit_cast(U, std::trunc(number(x))); });
    add<U, U>(all, "cvt.rmi" + types, [](U x) { return __builtin_bit_cast(U, std::floor(number(x))); });
    add<U, U>(all, "cvt.rpi" + types, [](U x) { return __builtin_bit_cast(U, std::ceil(number(x))); });
}

// Whole numbers of any sizes: cut, or extended by the sign of the source. The registers may be wider than the types.
template <class To, class From, class D, class A>
void convert(Warp& w, const Instruction& i, Mask m) {
    const A* a = w.at<A>(i.a);
    D* d = w.at<D>(i.d);
    for_each_lane(w, m, [&](unsigned l) { d[l] = D(std::make_signed_t<D>(To(From(a[l])))); });
}
template <class To, class From, class D, class A>
void convert_unsigned(Warp& w, const Instruction& i, Mask m) {
    const A* a = w.at<A>(i.a);
    D* d = w.at<D>(i.d);
    for_each_lane(w, m, [&](unsigned l) { d[l] = D(To(From(a[l]))); });
}

template <class To, class From, class D>
Execute for_source(Width a) {
    constexpr bool sign = std::is_signed_v<To>;
    switch (a) {
        case Width::half: return sign ? convert<To, From, D, uint16_t> : convert_unsigned<To, From, D, uint16_t>;
        case Width::word: return sign ? convert<To, From, D, uint32_t> : convert_unsigned<To, From, D, uint32_t>;
        default: return sign ? convert<To, From, D, uint64_t> : convert_unsigned<To, From, D, uint64_t>;
    }
}
template <class To, class From>
Execute for_widths(Width d, Width a) {
    switch (d) {
        case Width::half: return for_source<To, From, uint16_t>(a);
        case Width::word: return for_source<To, From, uint32_t>(a);
        default: return for_source<To, From, uint64_t>(a);
    }
}
template <class To>
Execute for_from(const std::string& from, Width d, Width a) {
    if (from == "u8") return for_widths<To, uint8_t>(d, a);
    if (from == "s8") return for_widths<To, int8_t>(d, a);
    if (from == "u16") return for_widths<To, uint16_t>(d, a);
    if (from == "s16") return for_widths<To, int16_t>(d, a);
    if (from == "u32") return for_widths<To, uint32_t>(d, a);
    if (from == "s32") return for_widths<To, int32_t>(d, a);
    if (from == "u64") return for_widths<To, uint64_t>(d, a);
    if (from == "s64") return for_widths<To, int64_t>(d, a);
    return nullptr;
}

// bf16: the upper half of a float, rounded to the nearest, ties to even.
uint16_t to_bf16(float x) {
    const uint32_t bits = __builtin_bit_cast(uint32_t, x);
    if (x != x) return 0x7fff;
    return uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

float from_bf16(uint32_t bits) { return __builtin_bit_cast(float, bits << 16); }

// The nearest of two steps is that of one when the first rounds to odd (Boldo and Melquiond 2008).
double sum_to_odd(double x, double y) {
    const double sum = x + y, part = sum - x, rest = (x - (sum - part)) + (y - part);
    const auto bits = __builtin_bit_cast(uint64_t, sum);
    if (rest == 0 || rest != rest || bits & 1) return sum;
    return __builtin_bit_cast(double, (rest > 0) == (sum > 0) ? bits + 1 : bits - 1);
}
float to_odd(double x) {
    const auto nearest = float(x);
    const auto bits = __builtin_bit_cast(uint32_t, nearest);
    if (double(nearest) == x || x != x || std::isinf(nearest) || bits & 1) return nearest;
    return __builtin_bit_cast(float, std::fabs(x) > std::fabs(double(nearest)) ? bits + 1 : bits - 1);
}
// Products of bf16 are exact in double.
uint16_t fused_bf16(uint32_t x, uint32_t y, uint32_t z) {
    return to_bf16(to_odd(sum_to_odd(double(from_bf16(x)) * double(from_bf16(y)), from_bf16(z))));
}

}  // namespace

Execute integer_conversion(const std::string& to, const std::string& from, Width d, Width a) {
    if (to == "u8") return for_from<uint8_t>(from, d, a);
    if (to == "s8") return for_from<int8_t>(from, d, a);
    if (to == "u16") return for_from<uint16_t>(from, d, a);
    if (to == "s16") return for_from<int16_t>(from, d, a);
    if (to == "u32") return for_from<uint32_t>(from, d, a);
    if (to == "s32") return for_from<int32_t>(from, d, a);
    if (to == "u64") return for_from<uint64_t>(from, d, a);
    if (to == "s64") return for_from<int64_t>(from, d, a);
    return nullptr;
}

void add_conversions(Operations& all) {
    using H = uint16_t;
    using U = uint32_t;
    using L = uint64_t;
    add_both_ways<int16_t, float>(all, "s16", "f32");
    add_both_ways<uint16_t, float>(all, "u16", "f32");
    add_both_ways<int32_t, float>(all, "s32", "f32");
    add_both_ways<uint32_t, float>(all, "u32", "f32");
    add_both_ways<int64_t, float>(all, "s64", "f32");
    add_both_ways<uint64_t, float>(all, "u64", "f32");
    add_both_ways<int32_t, double>(all, "s32", "f64");
    add_both_ways<uint32_t, double>(all, "u32", "f64");
    add_both_ways<int64_t, double>(all, "s64", "f64");
    add_both_ways<uint64_t, double>(all, "u64", "f64");
    add_to_integral<U>(all, "f32");
    add_to_integral<L>(all, "f64");
    add<L, U>(all, "cvt.f64.f32", [](U x) { return __builtin_bit_cast(L, double(number(x))); });
    add<U, L>(all, "cvt.rn.f32.f64", [](L x) { return __builtin_bit_cast(U, float(number(x))); });
    add<U, H>(all, "cvt.f32.bf16", [](H x) { return U(x) << 16; });
    add<H, U>(all, "cvt.rn.bf16.f32", [](U x) { return to_bf16(number(x)); });
    add<U, U, U>(all, "cvt.rn.bf16x2.f32",
                 [](U high, U low) { return U(to_bf16(number(high))) << 16 | to_bf16(number(low)); });
    add<H, H, H, H>(all, "fma.rn.bf16", [](H x, H y, H z) { return fused_bf16(x, y, z); });
    add<U, U, U, U>(all, "fma.rn.bf16x2", [](U x, U y, U z) {
        return U(fused_bf16(x >> 16, y >> 16, z >> 16)) << 16 | fused_bf16(x & 0xffff, y & 0xffff, z & 0xffff);
    });
}

}  // namespace ptx
