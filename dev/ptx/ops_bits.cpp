// Bits and predicates: logic, shifts, selections, moves (PTX ISA 9.7.1, 9.7.7 to 9.7.9).
#include <bit>
#include "operations.h"

namespace ptx {
namespace {

template <class U>
void add_logic(Operations& all, const std::string& bits) {
    constexpr unsigned size = 8 * sizeof(U);
    using S = std::make_signed_t<U>;
    add<U, U, U>(all, "and.b" + bits, [](U x, U y) { return U(x & y); });
    add<U, U, U>(all, "or.b" + bits, [](U x, U y) { return U(x | y); });
    add<U, U, U>(all, "xor.b" + bits, [](U x, U y) { return U(x ^ y); });
    add<U, U>(all, "not.b" + bits, [](U x) { return U(~x); });
    add<U, U>(all, "cnot.b" + bits, [](U x) { return U(x == 0); });
    // Shifts by more than the width give what shifting bit by bit would.
    add<U, U, uint32_t>(all, "shl.b" + bits,
                        [](U x, uint32_t n) { return n >= size ? U(0) : U(x << (n & (size - 1))); });
    for (const char* type : {"u", "b"})
        add<U, U, uint32_t>(all, "shr." + (type + bits),
                            [](U x, uint32_t n) { return n >= size ? U(0) : U(x >> (n & (size - 1))); });
    add<U, U, uint32_t>(all, "shr.s" + bits, [](U x, uint32_t n) { return U(S(x) >> (n >= size ? size - 1 : n)); });
}

template <class U>
void select(Warp& w, const Instruction& i, Mask m) {
    const U *a = w.at<U>(i.a), *b = w.at<U>(i.b);
    U* d = w.at<U>(i.d);
    const Mask p = w.predicate(i.c);
#pragma GCC ivdep
    for (unsigned l = 0; l < warp_lanes; l++) {
        const U result = p >> l & 1 ? a[l] : b[l];
        d[l] = m >> l & 1 ? result : d[l];
    }
}

template <class U>
void add_moves(Operations& all, const std::string& type) {
    constexpr Width width = width_of<U>;
    add<U, U>(all, "mov." + type, [](U x) { return x; });
    all["selp." + type] = {select<U>, {width, width, width, Width::predicate}};
}

template <class F>
struct Logic {  // of predicates
    static void execute(Warp& w, const Instruction& i, Mask m) {
        const Mask x = w.predicate(i.a), y = i.b == nowhere ? 0 : w.predicate(i.b);
        Mask& d = w.predicate(i.d);
        d = (d & ~m) | (F()(x, y) & m);
    }
};
template <class F>
void add_predicates(Operations& all, const std::string& opcode, size_t operands, F) {
    all[opcode] = {Logic<F>::execute, std::vector<Width>(operands, Width::predicate)};
}

uint32_t reversed(uint32_t x) {
    x = (x >> 1 & 0x55555555) | (x & 0x55555555) << 1;
    x = (x >> 2 & 0x33333333) | (x & 0x33333333) << 2;
    x = (x >> 4 & 0x0f0f0f0f) | (x & 0x0f0f0f0f) << 4;
    return __builtin_bswap32(x);
}

// The byte that each of c's four digits names, or eight copies of its highest bit.
uint32_t permuted(uint32_t a, uint32_t b, uint32_t c) {
    const uint64_t bytes = a | uint64_t(b) << 32;
    uint32_t result = 0;
    for (int i = 0; i < 4; i++) {
        const uint32_t digit = c >> 4 * i & 15, byte = uint32_t(bytes >> 8 * (digit & 7)) & 0xff;
        result |= (digit & 8 ? (byte & 0x80 ? 0xff : 0) : byte) << 8 * i;
    }
    return result;
}

template <class U>
U inserted(U a, U b, uint32_t position, uint32_t length) {
    constexpr unsigned size = 8 * sizeof(U);
    position &= 0xff, length &= 0xff;
    if (position >= size || length == 0) return b;
    const U ones = length >= size ? U(~U(0)) : U((U(1) << length) - 1), where = U(ones << position);
    return U((b & ~where) | (U(a << position) & where));
}
template <class U>
void insert(Warp& w, const Instruction& i, Mask m) {
    for_each_lane(w, m, [&](unsigned l) {
        w.at<U>(i.d)[l] = inserted(w.at<U>(i.a)[l], w.at<U>(i.b)[l], w.at<uint32_t>(i.c)[l], w.at<uint32_t>(i.e)[l]);
    });
}
template <class T>
T extracted(T a, uint32_t position, uint32_t length) {
    constexpr unsigned size = 8 * sizeof(T);
    using U = std::make_unsigned_t<T>;
    position &= 0xff, length &= 0xff;
    if (length == 0) return 0;
    const unsigned sign_at = std::min(position + length - 1, size - 1);
    const bool sign = std::is_signed_v<T> && U(a) >> sign_at & 1;
    U result = position >= size ? 0 : U(a) >> position;
    const unsigned here = position >= size ? 0 : std::min(length, size - position);
    if (here < size) result &= (U(1) << here) - 1, result |= sign ? U(~U(0)) << here : 0;
    return T(result);
}

uint32_t two_products(uint32_t a, uint32_t b, uint32_t c, unsigned from) {  // of a's halves with two bytes of b
    return c + (a & 0xffff) * (b >> 8 * from & 0xff) + (a >> 16) * (b >> 8 * (from + 1) & 0xff);
}

void look_up(Warp& w, const Instruction& i, Mask m) {  // lop3: bit (a b c) of the table, for each bit
    const uint32_t *a = w.at<uint32_t>(i.a), *b = w.at<uint32_t>(i.b), *c = w.at<uint32_t>(i.c);
    const uint32_t* table = w.at<uint32_t>(i.e);
    for_each_lane(w, m, [&](unsigned l) {
        uint32_t result = 0;
        for (unsigned k = 0; k < 8; k++)
            if (table[l] >> k & 1) result |= (k & 4 ? a[l] : ~a[l]) & (k & 2 ? b[l] : ~b[l]) & (k & 1 ? c[l] : ~c[l]);
        w.at<uint32_t>(i.d)[l] = result;
    });
}

}  // namespace

void add_bit_operations(Operations& all) {
    add_logic<uint16_t>(all, "16");
    add_logic<uint32_t>(all, "32");
    add_logic<uint64_t>(all, "64");
    for (const char* type : {"b16", "u16", "s16", "f16", "bf16"}) add_moves<uint16_t>(all, type);
    for (const char* type : {"b32", "u32", "s32", "f32"}) add_moves<uint32_t>(all, type);
    for (const char* type : {"b64", "u64", "s64", "f64"}) add_moves<uint64_t>(all, type);
    add_predicates(all, "and.pred", 3, [](Mask x, Mask y) { return x & y; });
    add_predicates(all, "or.pred", 3, [](Mask x, Mask y) { return x | y; });
    add_predicates(all, "xor.pred", 3, [](Mask x, Mask y) { return x ^ y; });
    add_predicates(all, "not.pred", 2, [](Mask x, Mask) { return ~x; });
    add_predicates(all, "mov.pred", 2, [](Mask x, Mask) { return x; });
    using U = uint32_t;
    using L = uint64_t;
    add<U, U>(all, "popc.b32", [](U x) { return U(std::popcount(x)); });
    add<U, L>(all, "popc.b64", [](L x) { return U(std::popcount(x)); });
    add<U, U>(all, "clz.b32", [](U x) { return U(std::countl_zero(x)); });
    add<U, L>(all, "clz.b64", [](L x) { return U(std::countl_zero(x)); });
    add<U, U>(all, "brev.b32", [](U x) { return reversed(x); });
    add<L, L>(all, "brev.b64", [](L x) { return L(reversed(U(x))) << 32 | reversed(U(x >> 32)); });
    add<U, U>(all, "bfind.u32", [](U x) { return x ? U(31 - std::countl_zero(x)) : ~U(0); });
    add<U, U>(all, "bfind.shiftamt.u32", [](U x) { return x ? U(std::countl_zero(x)) : ~U(0); });
    add<U, L>(all, "bfind.u64", [](L x) { return x ? U(63 - std::countl_zero(x)) : ~U(0); });
    add<U, L>(all, "bfind.shiftamt.u64", [](L x) { return x ? U(std::countl_zero(x)) : ~U(0); });
    add<U, U, U, U>(all, "prmt.b32", [](U a, U b, U c) { return permuted(a, b, c); });
    add<U, U, U, U>(all, "bfe.u32", [](U a, U b, U c) { return extracted(a, b, c); });
    add<U, U, U, U>(all, "bfe.s32", [](U a, U b, U c) { return U(extracted(int32_t(a), b, c)); });
    add<L, L, U, U>(all, "bfe.u64", [](L a, U b, U c) { return extracted(a, b, c); });
    add<L, L, U, U>(all, "bfe.s64", [](L a, U b, U c) { return L(extracted(int64_t(a), b, c)); });
    // b above a, shifted by n: the upper half of a left shift, the lower half of a right one
    add<U, U, U, U>(all, "shf.l.wrap.b32", [](U a, U b, U n) { return U(((L(b) << 32 | a) << (n & 31)) >> 32); });
    add<U, U, U, U>(all, "shf.r.wrap.b32", [](U a, U b, U n) { return U((L(b) << 32 | a) >> (n & 31)); });
    add<U, U, U, U>(all, "shf.l.clamp.b32",
                    [](U a, U b, U n) { return n >= 32 ? a : U(((L(b) << 32 | a) << n) >> 32); });
    add<U, U, U, U>(all, "shf.r.clamp.b32", [](U a, U b, U n) { return n >= 32 ? b : U((L(b) << 32 | a) >> n); });
    add<U, U, U, U>(all, "dp2a.lo.u32.u32", [](U a, U b, U c) { return two_products(a, b, c, 0); });
    add<U, U, U, U>(all, "dp2a.hi.u32.u32", [](U a, U b, U c) { return two_products(a, b, c, 2); });
    const Width w = Width::word, d = Width::double_word;
    all["bfi.b32"] = {insert<uint32_t>, {w, w, w, w, w}};
    all["bfi.b64"] = {insert<uint64_t>, {d, d, d, w, w}};
    all["lop3.b32"] = {look_up, {w, w, w, w, w}};
}

const Operations& operations() {
    static const Operations all = [] {
        Operations o;
        add_integer_operations(o);
        add_bit_operations(o);
        add_float_operations(o);
        add_conversions(o);
        return o;
    }();
    return all;
}

}  // namespace ptx
