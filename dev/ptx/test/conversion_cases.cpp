// Conversions (PTX ISA 9.7.9.21). Those of whole numbers to whole numbers are in operations.cpp.
#include <cmath>
#include "evaluation.h"

namespace ptx {
namespace {

enum class Whole { nearest, zero, down, up };
constexpr std::pair<const char*, Whole> wholes[] = {
    {"rni", Whole::nearest}, {"rzi", Whole::zero}, {"rmi", Whole::down}, {"rpi", Whole::up}};

Quad whole(Quad x, Whole how) {
    if (x >= power_of_two(100) || x <= -power_of_two(100)) return x;  // has no fraction
    const auto cut_off = Int128(x);
    const Quad left = x - Quad(cut_off), half = 0.5;
    const bool odd = cut_off % 2 != 0;
    switch (how) {
        case Whole::nearest:
            if (left > half || (left == half && odd)) return Quad(cut_off + 1);
            if (left < -half || (left == -half && odd)) return Quad(cut_off - 1);
            break;
        case Whole::zero: break;
        case Whole::down: return Quad(left < 0 ? cut_off - 1 : cut_off);
        case Whole::up: return Quad(left > 0 ? cut_off + 1 : cut_off);
    }
    return Quad(cut_off);
}

Answer to_whole(double x, int size, bool is_signed, bool from_double, Whole how) {
    const Bits highest = Bits(1) << (size - 1);
    if (x != x) return exactly(from_double || size == 64 ? highest : 0);
    const Int128 least = is_signed ? -(Int128(1) << (size - 1)) : 0,
                 most = (Int128(1) << (is_signed ? size - 1 : size)) - 1;
    if (std::isinf(x)) return exactly(cut(Bits(x < 0 ? least : most), size));
    const Quad w = whole(x, how);
    return exactly(cut(Bits(w < Quad(least) ? least : w > Quad(most) ? most : Int128(w)), size));
}
Answer from_whole(Int128 x, bool to_double, Rounding rounding) {
    if (x == 0) return exactly(0);
    const Quad r = rounded(Quad(x), 0, to_double ? twice : single, rounding);
    return exactly(to_double ? bits_of(double(r)) : bits_of(float(r)));
}

void add_whole(Cases& all, const std::string& real, int size, bool is_signed) {
    const bool is_double = real == "f64";
    const std::string type = (is_signed ? "s" : "u") + std::to_string(size);
    for (const auto& [name, how] : wholes)
        for (const bool ftz : {false, true}) {
            if (ftz && is_double) continue;
            all["cvt." + (name + std::string(ftz ? ".ftz." : ".")) + type + '.' + real] = [=,
                                                                                           how = how](const Bits* x) {
                const float f = as_float(x[0]);
                const double value = is_double ? as_double(x[0]) : ftz && std::fabs(f) < 0x1p-126f ? 0 : double(f);
                return to_whole(value, size, is_signed, is_double, how);
            };
        }
    for (const auto& [name, r] :
         {std::pair("rn", Rounding::nearest), {"rz", Rounding::zero}, {"rm", Rounding::down}, {"rp", Rounding::up}})
        all["cvt." + (name + ('.' + real) + '.' + type)] = [=, r = r](const Bits* x) {
            return from_whole(value_of(x[0], size, is_signed), is_double, r);
        };
}

// To a float that is whole: -0.3 becomes -0.
template <class F>
Answer integral(F x, Whole how) {
    if (x != x) return some_nan();
    return exactly(bits_of(std::isinf(x) ? x : std::copysign(F(whole(x, how)), x)));
}

// bf16 has the format of the upper half of a float.
Bits to_bf16(Bits bits) {
    const float x = as_float(bits);
    if (x != x) return 0x7fff;
    if (x == 0 || std::isinf(x)) return bits >> 16;
    return bits_of(float(rounded(x, 0, brain))) >> 16;
}

Answer to_single(double x) {
    if (x != x) return some_nan();
    if (x == 0 || std::isinf(x)) return exactly(bits_of(float(x)));
    return exactly(bits_of(std::copysign(float(rounded(x, 0, single)), float(x < 0 ? -1 : 1))));
}

}  // namespace

void add_conversion_cases(Cases& all) {
    for (const bool is_signed : {false, true}) {
        for (const int size : {16, 32, 64}) add_whole(all, "f32", size, is_signed);
        for (const int size : {32, 64}) add_whole(all, "f64", size, is_signed);
    }
    for (const auto& [name, how] : wholes) {
        all["cvt." + std::string(name) + ".f32.f32"] = [h = how](const Bits* x) { return integral(as_float(x[0]), h); };
        all["cvt." + std::string(name) + ".f64.f64"] = [h = how](const Bits* x) {
            return integral(as_double(x[0]), h);
        };
    }
    all["cvt.f64.f32"] = [](const Bits* x) {
        const float f = as_float(x[0]);
        return f != f ? some_nan() : exactly(bits_of(double(f)));
    };
    all["cvt.rn.f32.f64"] = [](const Bits* x) { return to_single(as_double(x[0])); };
    all["cvt.f32.bf16"] = [](const Bits* x) { return exactly(x[0] << 16); };
    all["cvt.rn.bf16.f32"] = [](const Bits* x) { return exactly(to_bf16(x[0])); };
    all["cvt.rn.bf16x2.f32"] = [](const Bits* x) { return exactly(to_bf16(x[0]) << 16 | to_bf16(x[1])); };
}

}  // namespace ptx
