// Each opcode that only computes, run as PTX on edge and random values, held against its definition (evaluation.h).
#include "dev/ptx/operations.h"
#include <cmath>
#include <random>
#include "dev/ptx/approximate.h"
#include "evaluation.h"
#include "program.h"

namespace ptx {
namespace {

const Cases& cases() {
    static const Cases all = [] {
        Cases c;
        add_integer_cases(c);
        add_bit_cases(c);
        add_float_cases(c);
        add_approximation_cases(c);
        add_conversion_cases(c);
        return c;
    }();
    return all;
}

constexpr unsigned tests = 8192, threads = 256;
constexpr uint64_t untouched = 0xa5a5a5a5a5a5a5a5;

int size_of(Width w) { return w == Width::predicate ? 1 : 8 * bytes_of(w); }

// ---- Values ----

std::vector<Bits> edges(int size) {
    if (size == 1) return {0, 1};
    std::vector<Bits> e{0, 1, 2, 3, 7, 31, 32, 33, 63, 64, 65, 100, 255, 256, 0x7f, 0x80, 0xe8, 0xca};
    for (const Bits x : {Bits(1), Bits(2), Bits(3), Bits(32), Bits(255)}) e.push_back(-x);
    e.push_back(Bits(1) << (size - 1));
    e.push_back((Bits(1) << (size - 1)) - 1);
    e.push_back((Bits(1) << (size - 1)) + 1);
    e.push_back(Bits(1) << size / 2), e.push_back((Bits(1) << size / 2) - 1);
    if (size == 32)
        for (const float f : {-0.0f,
                              1.0f,
                              -1.0f,
                              0.5f,
                              -0.5f,
                              1.5f,
                              2.5f,
                              -2.5f,
                              0x1p-149f,
                              -0x1p-149f,
                              0x1.fffffcp-127f,
                              0x1p-126f,
                              -0x1p-126f,
                              0x1.fffffep127f,
                              -0x1.fffffep127f,
                              HUGE_VALF,
                              -HUGE_VALF,
                              NAN,
                              0x1p24f,
                              0x1.000002p0f,
                              0x1.fffffep-1f,
                              0x1p31f,
                              0x1.fffffep30f,
                              -0x1p31f,
                              0x1p32f,
                              0x1p63f,
                              0x1p64f,
                              128.0f,
                              -126.0f,
                              -149.5f,
                              0x1p126f,
                              0x1.8p127f,
                              0x1p-128f,
                              0x1.808p0f,
                              0x1.818p0f,
                              3.14159274f,
                              32767.5f,
                              65535.5f})
            e.push_back(bits_of(f));
    if (size == 64)
        for (const double f : {-0.0,
                               1.0,
                               -1.0,
                               0.5,
                               -0.5,
                               1.5,
                               2.5,
                               -2.5,
                               0x1p-1074,
                               -0x1p-1074,
                               0x1.ffffffffffffep-1023,
                               0x1p-1022,
                               0x1.fffffffffffffp1023,
                               -0x1.fffffffffffffp1023,
                               HUGE_VAL,
                               -HUGE_VAL,
                               double(NAN),
                               0x1p53,
                               0x1.0000000000001p0,
                               0x1p31,
                               0x1.fffffffcp30,
                               0x1p32,
                               0x1p63,
                               -0x1p63,
                               0x1p64,
                               0x1.000001p0,
                               0x1.000003p0,
                               0x1.ffffffp127,
                               0x1p-150})
            e.push_back(bits_of(f));
    for (Bits& x : e) x = cut(x, size);
    return e;
}

class Values {
public:
    explicit Values(const std::vector<Width>& widths) : widths(widths) {}
    // Of test n: first all pairs of edges, as far as there is room, then anything.
    std::vector<Bits> operator()(unsigned n) {
        std::vector<Bits> x;
        unsigned left = n;
        for (size_t k = 1; k < widths.size(); k++) {
            const int size = size_of(widths[k]);
            const std::vector<Bits>& e = edges_of(size);
            const size_t count = e.size();
            const bool systematic = n < tests * 3 / 4 && k <= 2;
            x.push_back(systematic ? e[left % count] : random() % 3 ? anything(size) : e[random() % count]);
            left /= unsigned(count);
        }
        return x;
    }

private:
    const std::vector<Bits>& edges_of(int size) {
        static std::map<int, std::vector<Bits>> all;
        auto& e = all[size];
        if (e.empty()) e = edges(size);
        return e;
    }
    Bits anything(int size) {  // any bits, a small number, or a float of moderate size
        switch (random() % 4) {
            case 0: return cut(random() % 200 - 100, size);
            case 1: {
                const double d = std::ldexp(double(int64_t(random())), int(random() % 80) - 103);
                return size == 32 ? bits_of(float(d)) : size == 64 ? bits_of(d) : cut(random(), size);
            }
            default: return cut(random(), size);
        }
    }
    std::mt19937_64 random{1};
    const std::vector<Width>& widths;
};

// ---- The program: results of the instruction, and of the same for odd lanes only ----

constexpr const char* names = "dabce";
std::string bits_type(Width w) { return w == Width::predicate ? "pred" : "b" + std::to_string(size_of(w)); }
std::string text_for(const std::string& opcode, const std::vector<Width>& widths) {
    std::string text = ".reg .b64 %at, %p;\n.reg .b32 %i, %t;\n.reg .pred %odd;\n", operands;
    for (size_t k = 0; k < widths.size(); k++) {
        const std::string name = std::string("%") + names[k];
        text += ".reg ." + bits_type(widths[k]) + ' ' + name + (k ? "" : ", %g") + ";\n";
        operands += (k ? ", " : "") + (k ? name : "");
    }
    text += "mov.u32 %i, %ctaid.x;\nmov.u32 %t, %ntid.x;\nmov.u32 %g0, %tid.x;\nmad.lo.s32 %i, %i, %t, %g0;\n";
    text += "and.b32 %t, %i, 1;\nsetp.ne.u32 %odd, %t, 0;\nld.param.u64 %p, [data];\nmad.wide.u32 %at, %i, 64, %p;\n";
    for (size_t k = 1; k < widths.size(); k++) {
        const std::string name = std::string("%") + names[k], place = "[%at+" + std::to_string(8 * k) + "];\n";
        if (widths[k] == Width::predicate) text += "ld.global.u32 %t, " + place + "setp.ne.u32 " + name + ", %t, 0;\n";
        else text += "ld.global." + bits_type(widths[k]) + ' ' + name + ", " + place;
    }
    text += opcode + " %d" + operands + ";\n";
    if (widths[0] == Width::predicate) text += "setp.ne.u32 %g, %i, %i;\n";
    else text += "ld.global." + bits_type(widths[0]) + " %g, [%at+48];\n";
    text += "@%odd " + opcode + " %g" + operands + ";\n";
    for (const char* d : {"%d", "%g"}) {
        const std::string place = *++d == 'd' ? "[%at]" : "[%at+48]";
        if (widths[0] == Width::predicate)
            text += std::string("selp.b32 %t, 1, 0, %") + d + ";\nst.global.b32 " + place + ", %t;\n";
        else text += "st.global." + bits_type(widths[0]) + ' ' + place + ", %" + d + ";\n";
    }
    return ".reg .b32 %g0;\n" + text;
}

// ---- The judgement ----

bool is_nan(Bits bits, int size) {
    return size == 64 ? as_double(bits) != as_double(bits) : size == 32 && as_float(bits) != as_float(bits);
}
bool fits(const Answer& a, Bits got, int size) {
    switch (a.kind) {
        case Answer::Kind::exact: return got == a.bits;
        case Answer::Kind::nan: return is_nan(got, size);
        case Answer::Kind::unknown: return true;
        case Answer::Kind::near: break;
    }
    const double x = as_float(got);
    return (x >= a.low && x <= a.high) || as_float(got) == float(a.ideal);
}
// An approximation that is off by as much as it may: the next float is out of bounds.
bool at_the_edge(const Answer& a, Bits got) {
    if (a.kind != Answer::Kind::near || approximation == Error::scattered) return true;
    const float x = as_float(got), further = std::nextafter(x, approximation == Error::up ? HUGE_VALF : -HUGE_VALF);
    constexpr double slack = 1e-6;  // of the bound, as both are rounded
    if (approximation == Error::exact)
        return x == float(a.ideal) ||
               std::fabs(std::fabs(x - a.ideal) - std::fabs(float(a.ideal) - a.ideal)) < 1e-15 * std::fabs(a.ideal);
    const double bound = a.high - a.ideal;
    return std::fabs(double(further) - a.ideal) > bound * (1 - slack);
}
std::string hex(Bits x) {
    char text[24];
    std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(x));
    return text;
}

struct Test {
    const Bits* inputs;
    Answer answer;
};
// What is wrong with a result and that of the guarded instruction; empty: nothing.
std::string wrong(const Test& test, Bits d, Bits g, bool guard, int size) {
    const Answer& a = test.answer;
    const Bits kept = size == 1 ? 0 : cut(untouched, size);
    if (!fits(a, d, size) || !at_the_edge(a, d)) {
        const std::string near = "near " + std::to_string(a.ideal) + ", " + hex(bits_of(float(a.ideal)));
        return "is " + hex(d) + ", not " +
               (a.kind == Answer::Kind::exact ? hex(a.bits)
                : a.kind == Answer::Kind::nan ? "a NaN"
                                              : near);
    }
    const bool fine = guard ? g == d || (a.kind == Answer::Kind::nan && fits(a, g, size)) : g == kept;
    return fine ? ""
                : std::string("with a guard that is ") + (guard ? "true" : "false") + " is " + hex(g) + ", not " +
                      hex(guard ? d : kept);
}

void check(const std::string& opcode, const Operation& operation, const Evaluate& evaluate) {
    const OneKernel kernel(".param .u64 data", text_for(opcode, operation.widths));
    const int size = size_of(operation.widths[0]), stored = std::max(size, 8);
    Values values(operation.widths);
    std::vector<Bits> data(tests * 8, untouched);
    std::vector<Test> all;
    for (unsigned n = 0; n < tests; n++) {
        const std::vector<Bits> x = values(n);
        std::copy(x.begin(), x.end(), data.begin() + n * 8 + 1);
        all.push_back({&data[n * 8 + 1], evaluate(&data[n * 8 + 1])});
    }
    in_every_order([&] {
        const Device<Bits> buffer(data);
        kernel.must(tests / threads, threads, 0, buffer);
        const std::vector<Bits> results = buffer.get();
        int failures = 0;
        for (unsigned n = 0; n < tests && failures < 3; n++) {
            const std::string what =
                wrong(all[n], cut(results[n * 8], stored), cut(results[n * 8 + 6], stored), n % 2, size);
            if (what.empty()) continue;
            failures++;
            std::string inputs;
            for (size_t k = 0; k + 1 < operation.widths.size(); k++) inputs += (k ? ", " : "") + hex(all[n].inputs[k]);
            ADD_FAILURE() << opcode << '(' << inputs << ") " << what;
        }
    });
}

}  // namespace

TEST(ptx_operations, each_has_a_case) {
    for (const auto& [opcode, operation] : operations())
        EXPECT_TRUE(cases().contains(opcode)) << opcode << " has no case in dev/ptx/test";
    for (const auto& [opcode, evaluate] : cases())
        EXPECT_TRUE(operations().contains(opcode)) << opcode << " has a case, but is unknown to the machine";
}

TEST(ptx_operations, each_is_what_the_manual_says) {
    for (const auto& [opcode, operation] : operations())
        if (cases().contains(opcode)) check(opcode, operation, cases().at(opcode));
}

}  // namespace ptx
