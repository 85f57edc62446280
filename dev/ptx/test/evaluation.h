// What each opcode of operations() must give, by its definition in the PTX manual, worked out on the host with wider
// arithmetic.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace ptx {

__extension__ typedef __int128 Int128;
#if __LDBL_MANT_DIG__ >= 113
using Quad = long double;
#else
__extension__ typedef __float128 Quad;
#endif

using Bits = uint64_t;

struct Answer {
    enum class Kind {
        exact,
        nan,      // any
        unknown,  // the manual leaves it open
        near      // of an approximation: from `low` to `high`; `ideal` is between them
    };
    Kind kind;
    Bits bits = 0;
    double low = 0, ideal = 0, high = 0;
};
inline Answer exactly(Bits bits) { return {Answer::Kind::exact, bits}; }
inline Answer some_nan() { return {Answer::Kind::nan}; }
inline Answer unknown() { return {Answer::Kind::unknown}; }

// Of the operands after the result, zero-extended; a predicate is 0 or 1.
using Evaluate = std::function<Answer(const Bits* x)>;
using Cases = std::map<std::string, Evaluate>;

void add_integer_cases(Cases&);
void add_bit_cases(Cases&);
void add_float_cases(Cases&);
void add_approximation_cases(Cases&);
void add_conversion_cases(Cases&);

// ---- Numbers of so many bits ----

constexpr Bits cut(Bits x, int size) { return size == 64 ? x : x & ((Bits(1) << size) - 1); }
constexpr Int128 value_of(Bits x, int size, bool is_signed) {
    x = cut(x, size);
    return is_signed && x >> (size - 1) ? Int128(x) - (Int128(1) << size) : Int128(x);
}

inline float as_float(Bits x) { return __builtin_bit_cast(float, uint32_t(x)); }
inline double as_double(Bits x) { return __builtin_bit_cast(double, x); }
inline Bits bits_of(float x) { return __builtin_bit_cast(uint32_t, x); }
inline Bits bits_of(double x) { return __builtin_bit_cast(uint64_t, x); }

// ---- Rounding ----

enum class Rounding { nearest, zero, down, up };

struct Format {
    int digits, least;  // of the significand, with the leading one; of all, the exponent of the last digit
    int largest;        // exponent of the first digit of the largest number
};
constexpr Format single{24, -149, 127}, twice{53, -1074, 1023}, brain{8, -133, 127};

// `x` and a rest too small to be added to it (or 0), neither infinite nor NaN, x not 0: rounded to the format, infinite
// when too large. Two to the power of anything the formats have is exact in Quad.
Quad rounded(Quad x, Quad rest, const Format&, Rounding = Rounding::nearest);
Quad power_of_two(int exponent);

}  // namespace ptx
