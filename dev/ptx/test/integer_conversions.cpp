// Conversions of whole numbers, of every type and in registers of every width that can hold it (PTX ISA 9.7.9.21).
#include <array>
#include "evaluation.h"
#include "program.h"

namespace ptx {
namespace {

struct Type {
    const char* name;
    int size;
    bool is_signed;
};
constexpr Type types[] = {{"u8", 8, false},   {"s8", 8, true},   {"u16", 16, false}, {"s16", 16, true},
                          {"u32", 32, false}, {"s32", 32, true}, {"u64", 64, false}, {"s64", 64, true}};

struct Conversion {
    Type to, from;
    int to_register, from_register;
    // The low bits of the source's register, extended by its sign or cut, then extended to the register.
    Bits operator()(Bits x) const {
        return cut(Bits(value_of(Bits(value_of(x, from.size, from.is_signed)), to.size, to.is_signed)), to_register);
    }
};

std::vector<Conversion> all_conversions() {
    std::vector<Conversion> all;
    for (const Type& to : types)
        for (const Type& from : types)
            for (const int d : {16, 32, 64})
                for (const int a : {16, 32, 64})
                    if (d >= to.size && a >= from.size) all.push_back({to, from, d, a});
    return all;
}

constexpr std::array<Bits, 8> values{0, 1, 0x7f80ff7f80817fff, 0x80, 0x8000, 0x80000000, ~Bits(0), 0x8123456789abcdef};

}  // namespace

// One kernel does them all, a lane for each value.
TEST(ptx_conversions, of_whole_numbers) {
    const std::vector<Conversion> all = all_conversions();
    std::string body =
        ".reg .b64 %in, %out, %x64, %y64;\n.reg .b32 %t, %x32, %y32;\n.reg .b16 %x16, %y16;\n"
        "mov.u32 %t, %tid.x;\nld.param.u64 %in, [in];\nmad.wide.u32 %in, %t, 8, %in;\n"
        "ld.param.u64 %out, [out];\nmad.wide.u32 %out, %t, " +
        std::to_string(8 * all.size()) +
        ", %out;\n"
        "ld.global.b64 %x64, [%in];\nld.global.b32 %x32, [%in];\nld.global.b16 %x16, [%in];\n";
    for (size_t i = 0; i < all.size(); i++) {
        const Conversion& c = all[i];
        const std::string d = std::to_string(c.to_register), a = std::to_string(c.from_register);
        body += std::string("cvt.") + c.to.name + '.' + c.from.name + " %y" + d + ", %x" + a + ";\n";
        body += "st.global.b" + d + " [%out+" + std::to_string(8 * i) + "], %y" + d + ";\n";
    }
    const Device<Bits> in(std::vector<Bits>(values.begin(), values.end())), out(values.size() * all.size());
    OneKernel(".param .u64 in, .param .u64 out", body).must(1, unsigned(values.size()), 0, in, out);
    const std::vector<Bits> got = out.get();
    for (size_t i = 0; i < all.size(); i++)
        for (size_t v = 0; v < values.size(); v++) {
            const Conversion& c = all[i];
            EXPECT_EQ(cut(got[v * all.size() + i], c.to_register), c(cut(values[v], c.from_register)))
                << "cvt." << c.to.name << '.' << c.from.name << " from " << c.from_register << " to " << c.to_register
                << " bits of " << std::hex << values[v];
        }
}

}  // namespace ptx
