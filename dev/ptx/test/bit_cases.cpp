// Bits, one at a time (PTX ISA 9.7.1, 9.7.6 to 9.7.9).
#include <algorithm>
#include "evaluation.h"

namespace ptx {
namespace {

bool bit(Bits x, Bits i) { return x >> i & 1; }

// A number of `size` bits, of which f(i) is the i-th.
template <class F>
Answer each_bit(int size, F f) {
    Bits result = 0;
    for (int i = 0; i < size; i++) result |= Bits(bool(f(i))) << i;
    return exactly(result);
}

void add_logic(Cases& all, int size) {
    const std::string bits = std::to_string(size);
    all["and.b" + bits] = [=](const Bits* x) {
        return each_bit(size, [&](int i) { return bit(x[0], i) && bit(x[1], i); });
    };
    all["or.b" + bits] = [=](const Bits* x) {
        return each_bit(size, [&](int i) { return bit(x[0], i) || bit(x[1], i); });
    };
    all["xor.b" + bits] = [=](const Bits* x) {
        return each_bit(size, [&](int i) { return bit(x[0], i) != bit(x[1], i); });
    };
    all["not.b" + bits] = [=](const Bits* x) { return each_bit(size, [&](int i) { return !bit(x[0], i); }); };
    all["cnot.b" + bits] = [=](const Bits* x) { return exactly(x[0] == 0); };
    const auto shifted = [=](const Bits* x, bool left, bool fill) {
        return each_bit(size, [&](int i) {
            const int64_t from = left ? i - int64_t(x[1]) : i + int64_t(x[1]);
            return from < 0 ? false : from >= size ? fill && bit(x[0], size - 1) : bit(x[0], from);
        });
    };
    all["shl.b" + bits] = [=](const Bits* x) { return shifted(x, true, false); };
    all["shr.b" + bits] = all["shr.u" + bits] = [=](const Bits* x) { return shifted(x, false, false); };
    all["shr.s" + bits] = [=](const Bits* x) { return shifted(x, false, true); };
}

void add_counts(Cases& all, int size) {
    const std::string bits = std::to_string(size);
    const auto highest = [=](Bits x) {
        int i = size - 1;
        while (i >= 0 && !bit(x, i)) i--;
        return i;
    };
    all["popc.b" + bits] = [=](const Bits* x) {
        Bits n = 0;
        for (int i = 0; i < size; i++) n += bit(x[0], i);
        return exactly(n);
    };
    all["clz.b" + bits] = [=](const Bits* x) { return exactly(Bits(size - 1 - highest(x[0]))); };
    all["brev.b" + bits] = [=](const Bits* x) {
        return each_bit(size, [&](int i) { return bit(x[0], size - 1 - i); });
    };
    all["bfind.u" + bits] = [=](const Bits* x) { return exactly(cut(Bits(highest(x[0])), 32)); };
    all["bfind.shiftamt.u" + bits] = [=](const Bits* x) {
        return exactly(x[0] ? Bits(size - 1 - highest(x[0])) : 0xffffffff);
    };
}

void add_fields(Cases& all, int size) {
    const std::string bits = std::to_string(size);
    for (const bool is_signed : {false, true})
        all[(is_signed ? "bfe.s" : "bfe.u") + bits] = [=](const Bits* x) {
            const int position = int(x[1] & 255), length = int(x[2] & 255);
            const bool sign = is_signed && length && bit(x[0], Bits(std::min(position + length - 1, size - 1)));
            return each_bit(size,
                            [&](int i) { return i < length && position + i < size ? bit(x[0], position + i) : sign; });
        };
    all["bfi.b" + bits] = [=](const Bits* x) {
        const int position = int(x[2] & 255), length = int(x[3] & 255);
        return each_bit(size, [&](int i) {
            return i >= position && i < position + length ? bit(x[0], i - position) : bit(x[1], i);
        });
    };
}

void add_shifts_of_two(Cases& all) {
    for (const bool left : {false, true})
        for (const bool wraps : {false, true})
            all[std::string("shf.") + (left ? "l." : "r.") + (wraps ? "wrap" : "clamp") + ".b32"] = [=](const Bits* x) {
                const int by = int(wraps ? x[2] % 32 : std::min<Bits>(x[2], 32));
                return each_bit(32, [&](int i) {
                    const int from = left ? 32 + i - by : i + by;  // in the 64 bits of b and a
                    return from < 32 ? bit(x[0], from) : bit(x[1], from - 32);
                });
            };
}

void add_permutations(Cases& all) {
    all["prmt.b32"] = [](const Bits* x) {
        return each_bit(32, [&](int i) {
            const Bits digit = x[2] >> i / 8 * 4 & 15, byte = digit & 7;
            const Bits within = digit & 8 ? 7 : Bits(i % 8);
            return byte < 4 ? bit(x[0], byte * 8 + within) : bit(x[1], byte * 8 - 32 + within);
        });
    };
    all["lop3.b32"] = [](const Bits* x) {
        return each_bit(32, [&](int i) { return bit(x[3], Bits(4 * bit(x[0], i) + 2 * bit(x[1], i) + bit(x[2], i))); });
    };
    for (const bool high : {false, true})
        all[high ? "dp2a.hi.u32.u32" : "dp2a.lo.u32.u32"] = [=](const Bits* x) {
            const Bits bytes = high ? x[1] >> 16 : x[1];
            const Bits sum = x[2] + (x[0] & 0xffff) * (bytes & 0xff) + (x[0] >> 16) * (bytes >> 8 & 0xff);
            return exactly(cut(sum, 32));
        };
}

}  // namespace

void add_bit_cases(Cases& all) {
    for (const int size : {16, 32, 64}) {
        const std::string bits = std::to_string(size);
        add_logic(all, size);
        for (const char* kind : {"b", "u", "s", "f", "bf"}) {
            if (size > 16 && *kind == 'b' && kind[1]) continue;
            all["mov." + (kind + bits)] = [](const Bits* x) { return exactly(x[0]); };
            all["selp." + (kind + bits)] = [](const Bits* x) { return exactly(x[2] ? x[0] : x[1]); };
        }
        if (size > 16) add_counts(all, size), add_fields(all, size);
    }
    all["and.pred"] = [](const Bits* x) { return exactly(x[0] && x[1]); };
    all["or.pred"] = [](const Bits* x) { return exactly(x[0] || x[1]); };
    all["xor.pred"] = [](const Bits* x) { return exactly(x[0] != x[1]); };
    all["not.pred"] = [](const Bits* x) { return exactly(!x[0]); };
    all["mov.pred"] = [](const Bits* x) { return exactly(x[0]); };
    add_shifts_of_two(all);
    add_permutations(all);
}

}  // namespace ptx
