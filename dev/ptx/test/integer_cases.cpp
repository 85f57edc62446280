// Whole numbers (PTX ISA 9.7.1, 9.7.6), in 128 bits.
#include "evaluation.h"

namespace ptx {
namespace {

struct Type {
    int size;
    bool is_signed;
    Int128 operator()(Bits x) const { return value_of(x, size, is_signed); }
    Answer answer(Int128 x) const { return exactly(cut(Bits(x), size)); }
};

// The upper half of a product of whole numbers that may need 128 bits without a sign.
Bits high_half(Type t, Bits x, Bits y) {
    if (t.size < 64 || t.is_signed) return Bits((t(x) * t(y)) >> t.size);
    const Bits x1 = x >> 32, x0 = cut(x, 32), y1 = y >> 32, y0 = cut(y, 32);
    const Bits middle = x1 * y0 + (x0 * y0 >> 32), other = x0 * y1 + cut(middle, 32);
    return x1 * y1 + (middle >> 32) + (other >> 32);
}
Bits low_half(Type t, Bits x, Bits y) {  // the same with and without signs
    Bits sum = 0;
    for (int i = 0; i < t.size; i++)
        if (y >> i & 1) sum += x << i;
    return cut(sum, t.size);
}
Int128 magnitude(Int128 x) { return x < 0 ? -x : x; }

// Rounded towards zero, by long division.
Int128 quotient(Int128 x, Int128 y) {
    const Int128 a = magnitude(x), b = magnitude(y);
    Int128 q = 0, rest = 0;
    for (int i = 63; i >= 0; i--) {
        rest = rest * 2 + (a >> i & 1);
        q *= 2;
        if (rest >= b) rest -= b, q++;
    }
    return (x < 0) != (y < 0) ? -q : q;
}

void add_arithmetic(Cases& all, const std::string& type, Type t) {
    all["add." + type] = [t](const Bits* x) { return t.answer(t(x[0]) + t(x[1])); };
    all["sub." + type] = [t](const Bits* x) { return t.answer(t(x[0]) - t(x[1])); };
    all["mul.lo." + type] = [t](const Bits* x) { return t.answer(low_half(t, x[0], x[1])); };
    all["mul.hi." + type] = [t](const Bits* x) { return t.answer(high_half(t, x[0], x[1])); };
    all["mad.lo." + type] = [t](const Bits* x) { return t.answer(Int128(low_half(t, x[0], x[1])) + t(x[2])); };
    all["mad.hi." + type] = [t](const Bits* x) { return t.answer(Int128(high_half(t, x[0], x[1])) + t(x[2])); };
    all["div." + type] = [t](const Bits* x) { return t(x[1]) == 0 ? unknown() : t.answer(quotient(t(x[0]), t(x[1]))); };
    all["rem." + type] = [t](const Bits* x) {
        return t(x[1]) == 0 ? unknown() : t.answer(t(x[0]) - quotient(t(x[0]), t(x[1])) * t(x[1]));
    };
    all["min." + type] = [t](const Bits* x) { return t.answer(t(x[0]) < t(x[1]) ? t(x[0]) : t(x[1])); };
    all["max." + type] = [t](const Bits* x) { return t.answer(t(x[0]) < t(x[1]) ? t(x[1]) : t(x[0])); };
    if (t.size < 64) {
        const Type wide{2 * t.size, t.is_signed};
        all["mul.wide." + type] = [t, wide](const Bits* x) { return wide.answer(t(x[0]) * t(x[1])); };
        all["mad.wide." + type] = [t, wide](const Bits* x) { return wide.answer(t(x[0]) * t(x[1]) + wide(x[2])); };
    }
    if (!t.is_signed) return;
    all["neg." + type] = [t](const Bits* x) { return t.answer(-t(x[0])); };
    all["abs." + type] = [t](const Bits* x) { return t.answer(magnitude(t(x[0]))); };
}

template <class F>
Evaluate comparison(Type t, F f) {
    return [t, f](const Bits* x) { return exactly(f(t(x[0]), t(x[1]))); };
}
void add_comparisons(Cases& all, const std::string& type, Type t) {
    all["setp.eq." + type] = comparison(t, [](Int128 x, Int128 y) { return x == y; });
    all["setp.ne." + type] = comparison(t, [](Int128 x, Int128 y) { return x != y; });
    if (type[0] == 'b') return;  // bits have no order
    all["setp.lt." + type] = comparison(t, [](Int128 x, Int128 y) { return x < y; });
    all["setp.le." + type] = comparison(t, [](Int128 x, Int128 y) { return x <= y; });
    all["setp.gt." + type] = comparison(t, [](Int128 x, Int128 y) { return x > y; });
    all["setp.ge." + type] = comparison(t, [](Int128 x, Int128 y) { return x >= y; });
    if (t.is_signed) return;
    all["setp.lo." + type] = all["setp.lt." + type];
    all["setp.ls." + type] = all["setp.le." + type];
    all["setp.hi." + type] = all["setp.gt." + type];
    all["setp.hs." + type] = all["setp.ge." + type];
}

}  // namespace

void add_integer_cases(Cases& all) {
    for (const int size : {16, 32, 64}) {
        const std::string bits = std::to_string(size);
        for (const char* kind : {"s", "u"}) add_arithmetic(all, kind + bits, {size, *kind == 's'});
        for (const char* kind : {"s", "u", "b"}) add_comparisons(all, kind + bits, {size, *kind == 's'});
    }
}

}  // namespace ptx
