// Whole numbers: arithmetic and comparisons (PTX ISA 9.7.1, 9.7.5).
#include "operations.h"

namespace ptx {
namespace {

template <class T>
using Unsigned = std::make_unsigned_t<T>;

template <class T>
using Wide = std::conditional_t<sizeof(T) == 2, std::conditional_t<std::is_signed_v<T>, int32_t, uint32_t>,
                                std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>>;
__extension__ typedef __int128 Int128;
__extension__ typedef unsigned __int128 Unsigned128;

template <class T>
T high_product(T x, T y) {
    if constexpr (sizeof(T) == 8)
        return T(std::is_signed_v<T> ? Unsigned128(Int128(x) * Int128(y)) >> 64
                                     : Unsigned128(x) * Unsigned128(y) >> 64);
    else return T(Wide<T>(Wide<T>(x) * Wide<T>(y)) >> (8 * sizeof(T)));
}
template <class T>
T quotient(T x, T y) {  // a division by zero gives an unspecified value: all ones, as GPUs do
    if (y == 0) return T(~T(0));
    if (std::is_signed_v<T> && y == T(-1)) return T(Unsigned<T>(0) - Unsigned<T>(x));
    return T(x / y);
}
template <class T>
T remainder(T x, T y) {
    if (y == 0) return x;
    if (std::is_signed_v<T> && y == T(-1)) return 0;
    return T(x % y);
}

template <class T>
void add_arithmetic(Operations& all, const std::string& type) {
    using U = Unsigned<T>;
    add<U, U, U>(all, "add." + type, [](U x, U y) { return U(x + y); });
    add<U, U, U>(all, "sub." + type, [](U x, U y) { return U(x - y); });
    add<U, U, U>(all, "mul.lo." + type, [](U x, U y) { return U(uint64_t(x) * y); });
    add<U, U, U>(all, "mul.hi." + type, [](U x, U y) { return high_product(T(x), T(y)); });
    add<U, U, U, U>(all, "mad.lo." + type, [](U x, U y, U z) { return U(uint64_t(x) * y + z); });
    add<U, U, U, U>(all, "mad.hi." + type, [](U x, U y, U z) { return U(U(high_product(T(x), T(y))) + z); });
    add<U, U, U>(all, "div." + type, [](U x, U y) { return quotient(T(x), T(y)); });
    add<U, U, U>(all, "rem." + type, [](U x, U y) { return remainder(T(x), T(y)); });
    add<U, U, U>(all, "min." + type, [](U x, U y) { return T(x) < T(y) ? x : y; });
    add<U, U, U>(all, "max." + type, [](U x, U y) { return T(x) > T(y) ? x : y; });
    if constexpr (sizeof(T) < 8) {
        using W = Unsigned<Wide<T>>;
        add<W, U, U>(all, "mul.wide." + type, [](U x, U y) { return W(Wide<T>(T(x)) * Wide<T>(T(y))); });
        add<W, U, U, W>(all, "mad.wide." + type, [](U x, U y, W z) { return W(W(Wide<T>(T(x)) * Wide<T>(T(y))) + z); });
    }
    if constexpr (std::is_signed_v<T>) {
        add<U, U>(all, "neg." + type, [](U x) { return U(0 - x); });
        add<U, U>(all, "abs." + type, [](U x) { return T(x) < 0 ? U(0 - x) : x; });
    }
}

template <class T>
void add_comparisons(Operations& all, const std::string& type) {
    using U = Unsigned<T>;
    add_comparison<U>(all, "setp.eq." + type, [](U x, U y) { return x == y; });
    add_comparison<U>(all, "setp.ne." + type, [](U x, U y) { return x != y; });
    if (type[0] == 'b') return;  // bits have no order
    add_comparison<U>(all, "setp.lt." + type, [](U x, U y) { return T(x) < T(y); });
    add_comparison<U>(all, "setp.le." + type, [](U x, U y) { return T(x) <= T(y); });
    add_comparison<U>(all, "setp.gt." + type, [](U x, U y) { return T(x) > T(y); });
    add_comparison<U>(all, "setp.ge." + type, [](U x, U y) { return T(x) >= T(y); });
    if constexpr (std::is_signed_v<T>) return;
    add_comparison<U>(all, "setp.lo." + type, [](U x, U y) { return x < y; });
    add_comparison<U>(all, "setp.ls." + type, [](U x, U y) { return x <= y; });
    add_comparison<U>(all, "setp.hi." + type, [](U x, U y) { return x > y; });
    add_comparison<U>(all, "setp.hs." + type, [](U x, U y) { return x >= y; });
}

}  // namespace

void add_integer_operations(Operations& all) {
    add_arithmetic<int16_t>(all, "s16");
    add_arithmetic<uint16_t>(all, "u16");
    add_arithmetic<int32_t>(all, "s32");
    add_arithmetic<uint32_t>(all, "u32");
    add_arithmetic<int64_t>(all, "s64");
    add_arithmetic<uint64_t>(all, "u64");
    for (const char* bits : {"b", "u"}) {
        add_comparisons<uint16_t>(all, bits + std::string("16"));
        add_comparisons<uint32_t>(all, bits + std::string("32"));
        add_comparisons<uint64_t>(all, bits + std::string("64"));
    }
    add_comparisons<int16_t>(all, "s16");
    add_comparisons<int32_t>(all, "s32");
    add_comparisons<int64_t>(all, "s64");
}

}  // namespace ptx
