// Atomic operations (PTX ISA 9.7.13.5, 9.7.13.7): each on one place, by all lanes of some warps in any order.
#include <algorithm>
#include <limits>
#include "evaluation.h"
#include "program.h"

namespace ptx {
namespace {

constexpr unsigned threads = 64;

struct Type {
    std::string name;
    int size;
    bool is_signed;
};
const Type u32{"u32", 32, false}, s32{"s32", 32, true}, b32{"b32", 32, false}, u64{"u64", 64, false},
    s64{"s64", 64, true}, b64{"b64", 64, false};

Bits combined(const std::string& what, const Type& t, Bits old, Bits x) {
    const Int128 a = value_of(old, t.size, t.is_signed), b = value_of(x, t.size, t.is_signed);
    if (what == "add") return cut(old + x, t.size);
    if (what == "min") return a < b ? old : x;
    if (what == "max") return a > b ? old : x;
    if (what == "and") return old & x;
    if (what == "or") return old | x;
    return old ^ x;
}
Bits operand(unsigned thread, int size) { return cut((thread + 1) * 0x9e3779b97f4a7c15, size); }

// What a thread combines with the place, and what it stores of the old value.
std::string body_for(const std::string& opcode, const Type& t, bool shared, bool returns) {
    const std::string bits = std::to_string(t.size), reg = t.size == 64 ? "%rd" : "%r",
                      place = shared ? "[s]" : "[%rd9]";
    std::string body = std::string(prelude) + ".shared .align 8 .b8 s[8];\nld.param.u64 %rd9, [place];\n";
    body += "ld.global.b" + bits + ' ' + reg + "5, [%rd9];\n";
    body += "setp.eq.u32 %p1, %t, 0;\n";  // one thread begins, and one tells the end
    if (shared) body += "@%p1 st.shared.b" + bits + " [s], " + reg + "5;\nbar.sync 0;\n";
    body +=
        "add.u32 %r1, %t, 1;\ncvt.u64.u32 %rd1, %r1;\nmul.lo.u64 %rd1, %rd1, 0x9e3779b97f4a7c15;\ncvt.u32.u64 %r1, "
        "%rd1;\n";
    body += opcode + (returns ? ' ' + reg + "2, " : " ") + place + ", " + reg + "1;\n";
    body += "mad.wide.u32 %rd8, %t, 8, %out;\n";
    if (returns) body += "st.global.b" + bits + " [%rd8], " + reg + "2;\n";
    if (shared)
        body += "bar.sync 0;\nld.shared.b" + bits + ' ' + reg + "3, [s];\n@%p1 st.global.b" + bits + " [%rd9], " + reg +
                "3;\n";
    return body;
}

void expect_combination(const std::string& what, const Type& t, bool shared, bool returns) {
    const std::string opcode = (returns ? "atom" : "red") + std::string(shared ? ".shared" : ".global") +
                               (t.size == 64 ? ".relaxed.gpu." : ".") + what + '.' + t.name;
    SCOPED_TRACE(opcode);
    const Bits start = cut(0x7123456789abcdef, t.size);
    const Device<Bits> place(std::vector<Bits>{start}), out(std::vector<Bits>(threads, 0));
    OneKernel(".param .u64 out, .param .u64 place", body_for(opcode, t, shared, returns))
        .must(1, threads, 0, out, place);
    Bits want = start;
    for (unsigned i = 0; i < threads; i++) want = combined(what, t, want, operand(i, t.size));
    EXPECT_EQ(cut(place.get()[0], t.size), want);
    if (!returns) return;
    // In some order each thread has found what the others before it left: so old values, each combined with the
    // thread's number, are again the old values, but for the first and the last.
    std::vector<Bits> before = out.get(), after;
    for (unsigned i = 0; i < threads; i++) after.push_back(combined(what, t, before[i], operand(i, t.size)));
    before.push_back(want), after.push_back(start);
    std::sort(before.begin(), before.end()), std::sort(after.begin(), after.end());
    EXPECT_EQ(before, after);
}

}  // namespace

TEST(ptx_atomics, combine) {
    in_every_order([] {
        for (const bool shared : {false, true})
            for (const bool returns : {false, true}) {
                for (const Type& t : {u32, s32, u64}) expect_combination("add", t, shared, returns);
                for (const Type& t : {u32, s32, u64, s64})
                    for (const char* what : {"min", "max"}) expect_combination(what, t, shared, returns);
                for (const Type& t : {b32, b64})
                    for (const char* what : {"and", "or", "xor"}) expect_combination(what, t, shared, returns);
            }
    });
}

// inc and dec go round: from 0 to the operand and back (9.7.13.5).
TEST(ptx_atomics, go_round) {
    in_every_order([] {
        for (const bool up : {true, false})
            for (const uint32_t start : {3u, 20u}) {  // the second is beyond: it becomes 0, or the operand
                const Device<uint32_t> place(std::vector{start}), out(threads);
                OneKernel(".param .u64 out, .param .u64 place",
                          std::string(prelude) + "ld.param.u64 %rd1, [place];\natom.global." + (up ? "inc" : "dec") +
                              ".u32 %r1, [%rd1], 9;\nst.global.u32 [%at], %r1;\n")
                    .must(1, threads, 0, out, place);
                std::vector<uint32_t> want, old = out.get();
                uint32_t next = start;
                for (unsigned i = 0; i < threads; i++) {
                    want.push_back(next);
                    next = up ? (next >= 9 ? 0 : next + 1) : next == 0 || next > 9 ? 9 : next - 1;
                }
                std::sort(want.begin(), want.end()), std::sort(old.begin(), old.end());
                EXPECT_EQ(old, want) << up;
                EXPECT_EQ(place.get()[0], next) << up;
            }
    });
}

TEST(ptx_atomics, add_floats) {
    in_every_order([] {
        const Device<float> sum(std::vector<float>{1}), old(threads);
        const Device<double> long_sum(std::vector<double>{1});
        OneKernel(".param .u64 out, .param .u64 single, .param .u64 long",
                  std::string(prelude) + R"(ld.param.u64 %rd1, [single];
ld.param.u64 %rd2, [long];
cvt.rn.f32.u32 %f1, %t;
atom.global.add.f32 %f2, [%rd1], %f1;
st.global.f32 [%at], %f2;
cvt.rn.f64.u32 %rd3, %t;
red.global.add.f64 [%rd2], %rd3;
atom.add.f32 _, [%rd1], 0f00000000;
)")
            .must(1, threads, 0, old, sum, long_sum);
        EXPECT_EQ(sum.get()[0], 2017);
        EXPECT_EQ(long_sum.get()[0], 2017);
        std::vector<float> found = old.get();
        std::sort(found.begin(), found.end());
        EXPECT_EQ(found[0], 1);
    });
}

// exch and cas: a chain of tickets. Each thread takes the last one's number, whoever that was; and a lock taken by cas.
TEST(ptx_atomics, exchange_and_compare) {
    in_every_order([] {
        const Device<uint32_t> out(threads), place({1000, 7});
        OneKernel(".param .u64 out, .param .u64 place", std::string(prelude) + R"(ld.param.u64 %rd1, [place];
atom.global.exch.b32 %r1, [%rd1], %t;
st.global.u32 [%at], %r1;
AGAIN:
ld.volatile.global.u32 %r2, [%rd1+4];
mad.lo.u32 %r3, %r2, 3, 1;
atom.global.cas.b32 %r4, [%rd1+4], %r2, %r3;
setp.ne.u32 %p1, %r4, %r2;
@%p1 bra AGAIN;
)")
            .must(1, threads, 0, out, place);
        std::vector<uint32_t> found = out.get(), want{1000};
        found.push_back(place.get()[0]);
        for (unsigned i = 0; i < threads; i++) want.push_back(i);
        std::sort(found.begin(), found.end()), std::sort(want.begin(), want.end());
        EXPECT_EQ(found, want);
        uint32_t times = 7;
        for (unsigned i = 0; i < threads; i++) times = times * 3 + 1;
        EXPECT_EQ(place.get()[1], times);
    });
}

}  // namespace ptx
