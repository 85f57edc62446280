// Loads and stores in every space, addresses of one as another's, variables (PTX ISA 5, 9.7.9).
#include <array>
#include "evaluation.h"
#include "program.h"

namespace ptx {
namespace {

constexpr Bits pattern = 0x8182f3f485968788;

struct Type {
    std::string name;
    int size;
    bool is_signed;
};
std::vector<Type> types() {
    std::vector<Type> all{{"f32", 32, false}, {"f64", 64, false}};
    for (const int size : {8, 16, 32, 64})
        for (const char* kind : {"u", "s", "b"}) all.push_back({kind + std::to_string(size), size, *kind == 's'});
    return all;
}
std::string number(size_t n) { return std::to_string(n); }

// Loads of every type into registers of every width from the same 8 bytes, and what they must give.
std::string loads_from(const std::string& space, const std::string& address, std::vector<Bits>& want) {
    std::string body;
    for (const Type& t : types())
        for (const int size : {16, 32, 64}) {
            if (size < t.size) continue;
            const std::string reg = size == 16 ? "%h0" : size == 32 ? "%r0" : "%rd0";
            body += "ld" + space + '.' + t.name + ' ' + reg + ", [" + address + "];\n";
            body += "st.global.b" + number(size_t(size)) + " [%out+" + number(8 * want.size()) + "], " + reg + ";\n";
            want.push_back(cut(Bits(value_of(pattern, t.size, t.is_signed)), size));
        }
    return body;
}
void expect_loads(const std::string& before, const std::string& space, const std::string& address) {
    SCOPED_TRACE("ld" + space + " [" + address + "]");
    std::vector<Bits> want;
    const std::string body = prelude + before + loads_from(space, address, want);
    const Device<Bits> in({0, pattern}), out(want.size());
    EXPECT_EQ(cudaMemset(out, 0, want.size() * 8), cudaSuccess);
    OneKernel(".param .u64 out, .param .u64 in, .param .align 8 .b8 both[16]", body)
        .must(1, 1, 16, out, in, std::array{Bits(0), pattern});
    EXPECT_EQ(out.get(), want);
}

}  // namespace

TEST(ptx_memory, loads_of_every_type_from_every_space) {
    const std::string fetch = "ld.param.u64 %rd1, [in];\nld.global.u64 %rd2, [%rd1+8];\n";
    expect_loads(fetch, ".global", "%rd1+8");
    expect_loads(fetch, ".global.nc", "%rd1+8");
    expect_loads(fetch, "", "%rd1+8");
    expect_loads(fetch + "add.s64 %rd1, %rd1, 16;\n", ".volatile.global", "%rd1+-8");
    expect_loads("", ".param", "both+8");
    expect_loads("mov.b64 %rd1, both;\ncvta.param.u64 %rd1, %rd1;\n", "", "%rd1+8");
    const std::string shared = fetch + ".shared .align 8 .b8 s[24];\nmov.u32 %r1, s;\nst.shared.u64 [s+16], %rd2;\n";
    expect_loads(shared, ".shared", "s+16");
    expect_loads(shared, ".shared", "%r1+16");
    expect_loads(shared + "cvt.u64.u32 %rd1, %r1;\n", ".shared::cta", "%rd1+16");
    expect_loads(shared + "mov.u64 %rd1, s;\ncvta.shared.u64 %rd1, %rd1;\n", "", "%rd1+16");
    expect_loads(fetch + "mov.u32 %r1, 8;\nst.shared.u64 [%r1], %rd2;\n", ".shared", "8");
    const std::string local = fetch + ".local .align 8 .b8 l[24];\nmov.u64 %rd1, l;\nst.local.u64 [%rd1+16], %rd2;\n";
    expect_loads(local, ".local", "l+16");
    expect_loads(local + "cvta.local.u64 %rd3, %rd1;\n", "", "%rd3+16");
    expect_loads(local + "cvta.local.u64 %rd3, %rd1;\ncvta.to.local.u64 %rd3, %rd3;\n", ".local", "%rd3+16");
    expect_loads(shared + "mov.u64 %rd1, s;\ncvta.shared.u64 %rd1, %rd1;\ncvta.to.shared.u64 %rd1, %rd1;\n", ".shared",
                 "%rd1+16");
    expect_loads(fetch + "cvta.global.u64 %rd1, %rd1;\ncvta.to.global.u64 %rd1, %rd1;\n", ".global", "%rd1+8");
}

TEST(ptx_memory, stores_change_the_bytes_of_their_type) {
    for (const Type& t : types())
        for (const int size : {16, 32, 64}) {
            if (size < t.size) continue;
            SCOPED_TRACE(t.name + " of " + number(size_t(size)));
            const std::string reg = size == 16 ? "%h0" : size == 32 ? "%r0" : "%rd0";
            const Device<Bits> out(std::vector<Bits>(2, ~Bits(0)));
            OneKernel(".param .u64 out, .param .u64 x", std::string(prelude) + "ld.param.u" + number(size_t(size)) +
                                                            ' ' + reg + ", [x];\nst.global." + t.name + " [%out+8], " +
                                                            reg + ";\n")
                .must(1, 1, 0, out, Bits(0x1112131415161718));
            const Bits kept = t.size == 64 ? 0 : ~Bits(0) << t.size;
            EXPECT_EQ(out.get(), (std::vector<Bits>{~Bits(0), kept | cut(0x1112131415161718, t.size)}));
        }
}

TEST(ptx_memory, vectors) {
    std::vector<uint8_t> bytes(64);
    for (size_t i = 0; i < bytes.size(); i++) bytes[i] = uint8_t(0x80 + i * 7);
    struct Vector {
        const char *load, *store, *to, *from;
        size_t bytes, element;
    };
    for (const Vector& v : {Vector{"v2.u8", "v2.u8", "{%h0, %h1}", "{%h1, %h0}", 2, 1},
                            {"v4.u8", "v4.u8", "{%r0, %r1, %r2, %r3}", "{%r3, %r2, %r1, %r0}", 4, 1},
                            {"v2.s16", "v2.u16", "{%r0, %r1}", "{%r1, %r0}", 4, 2},
                            {"v4.u16", "v4.b16", "{%h0, %h1, %h2, %h3}", "{%h3, %h2, %h1, %h0}", 8, 2},
                            {"v2.u32", "v2.f32", "{%r0, %r1}", "{%r1, %r0}", 8, 4},
                            {"v4.f32", "v4.f32", "{%f0, %f1, %f2, %f3}", "{%f3, %f2, %f1, %f0}", 16, 4},
                            {"v2.u64", "v2.b64", "{%rd1, %rd2}", "{%rd2, %rd1}", 16, 8},
                            {"v2.f64", "v2.f64", "{%rd1, %rd2}", "{%rd2, %rd1}", 16, 8}}) {
        SCOPED_TRACE(v.load);
        const Device<uint8_t> in(bytes), out(16);
        OneKernel(".param .u64 out, .param .u64 in", std::string(prelude) + "ld.param.u64 %rd0, [in];\nld.global." +
                                                         v.load + ' ' + v.to + ", [%rd0+16];\nst.global." + v.store +
                                                         " [%out], " + v.from + ";\n")
            .must(1, 1, 0, out, in);
        const std::vector<uint8_t> got = out.get();
        for (size_t i = 0; i < v.bytes; i++)
            EXPECT_EQ(got[i], bytes[16 + (v.bytes / v.element - 1 - i / v.element) * v.element + i % v.element]) << i;
    }
}

TEST(ptx_memory, parameters_lie_as_their_alignment_says) {
    struct {
        int32_t a[3];
    } three{{5, 6, 7}};
    const Device<uint32_t> out(8);
    OneKernel(".param .u64 out, .param .u8 a, .param .align 4 .b8 b[12], .param .u16 c, .param .f64 d, .param .u32 e",
              std::string(prelude) + R"(ld.param.u8 %r0, [a];
ld.param.u32 %r1, [e];
ld.param.u32 %r3, [b+8];
ld.param.u16 %r4, [c];
ld.param.f64 %rd1, [d];
cvt.rzi.s32.f64 %r5, %rd1;
st.global.v4.u32 [%out], {%r0, %r1, %r3, %r4};
st.global.u32 [%out+16], %r5;
)")
        .must(1, 1, 0, out, uint8_t(200), three, uint16_t(60000), -3.75, uint32_t(9));
    const std::vector<uint32_t> got = out.get();
    EXPECT_EQ(std::vector(got.begin(), got.begin() + 5), (std::vector<uint32_t>{200, 9, 7, 60000, uint32_t(-3)}));
}

TEST(ptx_memory, variables_of_modules) {
    const std::vector<uint32_t> got = words_of(R"(mov.u64 %rd1, table;
cvta.global.u64 %rd2, %rd1;
mad.wide.u32 %rd2, %t, 4, %rd2;
ld.u32 %r0, [%rd2];
ld.const.u8 %r1, [few+1];
ld.global.u32 %r2, [table+12];
st.shared.u32 [own], %r2;
bar.warp.sync -1;
ld.shared.u32 %r3, [own];
mov.u32 %r4, dynamic;
st.shared.u32 [%r4+4], %r3;
bar.warp.sync -1;
ld.shared.u32 %r3, [dynamic+4];
mad.lo.u32 %r0, %r0, 1000, %r1;
add.u32 %r0, %r0, %r3;
st.global.u32 [%at], %r0;
)",
                                               4, 8, R"(
.visible .global .align 4 .u32 table[4] = {1, 2, 3};
.const .align 1 .b8 few[3] = {7, 250, 9};
.shared .align 4 .u32 own;
.extern .shared .align 16 .b8 dynamic[];
)");
    EXPECT_EQ(got, (std::vector<uint32_t>{1250, 2250, 3250, 250}));
}

// Each lane has local memory of its own, at the same address.
TEST(ptx_memory, local_memory_is_each_lanes_own) {
    std::vector<uint32_t> want(64);
    for (uint32_t i = 0; i < 64; i++) want[i] = 3 * i;
    in_every_order([&] {
        EXPECT_EQ(words_of(R"(.local .align 4 .b8 l[8];
st.local.u32 [l], %t;
mul.lo.u32 %r0, %t, 2;
st.local.u32 [l+4], %r0;
bar.sync 0;
ld.local.v2.u32 {%r1, %r2}, [l];
add.u32 %r1, %r1, %r2;
st.global.u32 [%at], %r1;
)",
                           64),
                  want);
    });
}

// ---- cp.async ----

TEST(ptx_memory, asynchronous_copies_fill_up_with_zeros) {
    std::vector<uint8_t> bytes(32);
    for (size_t i = 0; i < bytes.size(); i++) bytes[i] = uint8_t(i + 1);
    for (const size_t size : {4, 8, 16})
        for (size_t valid = 0; valid <= size; valid++)
            for (const bool l2 : {false, true}) {
                if (l2 && size < 16) continue;
                SCOPED_TRACE(number(size) + " bytes, " + number(valid) + " valid");
                const Device<uint8_t> in(bytes), out(16);
                const std::string op =
                    std::string("cp.async.") + (l2 ? "cg" : "ca") + ".shared.global" + (l2 ? ".L2::128B" : "");
                OneKernel(".param .u64 out, .param .u64 in, .param .u32 n",
                          std::string(prelude) +
                              ".shared .align 16 .b8 s[32];\nld.param.u64 %rd1, [in];\nld.param.u32 %r1, [n];\n"
                              "st.shared.v4.u32 [s+16], {0, 0, 0, 0};\n" +
                              op + " [s+16], [%rd1+16], " + number(size) +
                              ", %r1;\ncp.async.wait_all;\nld.shared.v4.u32 {%r2, %r3, %r4, %r5}, [s+16];\n"
                              "st.global.v4.u32 [%out], {%r2, %r3, %r4, %r5};\n")
                    .must(1, 1, 0, out, in, uint32_t(valid));
                const std::vector<uint8_t> got = out.get();
                for (size_t i = 0; i < size; i++) EXPECT_EQ(got[i], i < valid ? bytes[16 + i] : 0) << i;
            }
}

TEST(ptx_memory, asynchronous_copies_come_when_they_are_waited_for) {
    in_every_order([] {
        const Device<uint32_t> in({1, 2, 3}), out(3);
        OneKernel(".param .u64 out, .param .u64 in", std::string(prelude) + R"(.shared .align 4 .b8 s[12];
ld.param.u64 %rd1, [in];
st.shared.u32 [s], 0;
st.shared.u32 [s+4], 0;
st.shared.u32 [s+8], 0;
cp.async.ca.shared.global [s], [%rd1], 4;
cp.async.commit_group;
cp.async.ca.shared.global [s+4], [%rd1+4], 4;
cp.async.commit_group;
cp.async.ca.shared.global [s+8], [%rd1+8], 4;
cp.async.wait_group 1;
ld.shared.u32 %r1, [s];
ld.shared.u32 %r2, [s+4];
ld.shared.u32 %r3, [s+8];
st.global.u32 [%out], %r1;
st.global.u32 [%out+4], %r2;
st.global.u32 [%out+8], %r3;
cp.async.wait_all;
)")
            .must(1, 1, 0, out, in);
        EXPECT_EQ(out.get(), (std::vector<uint32_t>{1, ~0u, ~0u}));
    });
}

}  // namespace ptx
