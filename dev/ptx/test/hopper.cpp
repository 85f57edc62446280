// Hopper's instructions (PTX ISA 9.7.9.27, 9.7.13.15, 9.7.15), and what is said of wrong uses.
#include <cmath>
#include "program.h"

namespace ptx {
namespace {

struct alignas(64) Map {
    unsigned char opaque[128];
};
uint16_t bf16(float x) { return uint16_t(__builtin_bit_cast(uint32_t, x) >> 16); }

// Of a matrix of 2-byte elements, the boxes swizzled by 128 bytes.
Map map_of(void* data, uint64_t rows, uint64_t columns, uint32_t box_rows) {
    void* encode = nullptr;
    EXPECT_EQ(cudaGetDriverEntryPoint("cuTensorMapEncodeTiled", &encode, cudaEnableDefault), cudaSuccess);
    using Encode = int (*)(void*, int, uint32_t, void*, const uint64_t*, const uint64_t*, const uint32_t*,
                           const uint32_t*, int, int, int, int);
    Map map{};
    const uint64_t sizes[] = {columns, rows}, strides[] = {columns * 2};
    const uint32_t box[] = {64, box_rows}, steps[] = {1, 1};
    constexpr int type_bf16 = 9, swizzle_128 = 3;
    EXPECT_EQ(
        reinterpret_cast<Encode>(encode)(&map, type_bf16, 2, data, sizes, strides, box, steps, 0, swizzle_128, 0, 0),
        0);
    return map;
}

constexpr char parameters[] = ".param .u64 out, .param .align 64 .b8 a[128], .param .align 64 .b8 b[128]";
// %rd1 and %rd2 have the maps; a barrier for one arrival is at the beginning of static shared memory; thread 0 has %p0.
constexpr char begin[] = R"(.shared .align 8 .b8 full[8];
mov.b64 %rd1, a;
cvta.param.u64 %rd1, %rd1;
mov.b64 %rd2, b;
cvta.param.u64 %rd2, %rd2;
mov.u32 %r1, full;
setp.eq.u32 %p0, %t, 0;
@!%p0 bra READY;
mbarrier.init.shared::cta.b64 [%r1], 1;
fence.mbarrier_init.release.cluster;
READY:
bar.sync 0;
)";
constexpr char wait_for_loads[] = R"(AGAIN:
mbarrier.try_wait.parity.acquire.cta.shared::cta.b64 %p1, [%r1], 0;
@!%p1 bra AGAIN;
)";
std::string announce(unsigned bytes) {
    return "@%p0 mbarrier.arrive.expect_tx.release.cta.shared::cta.b64 _, [%r1], " + std::to_string(bytes) + ";\n";
}
std::string load(const std::string& to, const std::string& map, const std::string& c0, const std::string& c1) {
    return "@%p0 cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [" + to + "], [" +
           map + ", {" + c0 + ", " + c1 + "}], [%r1];\n";
}

size_t swizzled(size_t byte) { return byte ^ (byte >> 7 & 7) << 4; }

}  // namespace

// Two warps hand a word over and back, eight times.
TEST(ptx_sm90, barriers_have_phases) {
    in_every_order([] {
        EXPECT_EQ(words_of(R"(.shared .align 8 .b8 barriers[16];
.shared .align 4 .u32 word;
mov.u32 %r1, barriers;
setp.ne.u32 %p0, %t, 0;
@%p0 bra READY;
mbarrier.init.shared.b64 [%r1], 32;
mbarrier.init.shared.b64 [%r1+8], 32;
fence.mbarrier_init.release.cluster;
READY:
bar.sync 0;
setp.ge.u32 %p1, %t, 32;
mov.u32 %r2, 0;
mov.u32 %r3, 0;
@%p1 bra TAKE;
GIVE:
and.b32 %r4, %r2, 1;
xor.b32 %r5, %r4, 1;
FREE:
mbarrier.try_wait.parity.shared.b64 %p2, [%r1+8], %r5;
@!%p2 bra FREE;
@!%p0 st.shared.u32 [word], %r2;
bar.warp.sync -1;
mbarrier.arrive.shared.b64 _, [%r1];
add.u32 %r2, %r2, 1;
setp.lt.u32 %p3, %r2, 8;
@%p3 bra GIVE;
bra JOIN;
TAKE:
and.b32 %r4, %r2, 1;
FULL:
mbarrier.test_wait.parity.shared.b64 %p2, [%r1], %r4;
@!%p2 bra FULL;
ld.shared.u32 %r5, [word];
mad.lo.u32 %r3, %r3, 3, %r5;
mbarrier.arrive.shared.b64 _, [%r1+8];
add.u32 %r2, %r2, 1;
setp.lt.u32 %p3, %r2, 8;
@%p3 bra TAKE;
JOIN:
st.global.u32 [%at], %r3;
)",
                           64),
                  [] {
                      std::vector<uint32_t> want(64);
                      for (uint32_t round = 0; round < 8; round++)
                          for (unsigned t = 32; t < 64; t++) want[t] = 3 * want[t] + round;
                      return want;
                  }());
    });
}

// A box that begins 16 columns and 4 rows in and reaches beyond the tensor of 10 rows: there are zeros.
TEST(ptx_sm90, tensor_loads) {
    constexpr uint32_t rows = 10, columns = 96;
    std::vector<uint16_t> values(rows * columns);
    for (size_t i = 0; i < values.size(); i++) values[i] = uint16_t(i + 1);
    in_every_order([&] {
        const Device<uint16_t> in(values), out(8 * 64);
        const Map map = map_of(in, rows, columns, 8);
        OneKernel(parameters, prelude + std::string(begin) + "prefetch.tensormap [%rd1];\n" + announce(1024) +
                                  load("0", "%rd1", "48", "4") + wait_for_loads + R"(shl.b32 %r2, %t, 4;
ld.shared.v4.u32 {%r3, %r4, %r5, %r6}, [%r2];
cvt.u64.u32 %rd3, %r2;
add.s64 %rd3, %rd3, %out;
st.global.v4.u32 [%rd3], {%r3, %r4, %r5, %r6};
)")
            .must(1, 64, 1024, out, map, map);
        const std::vector<uint16_t> got = out.get();
        for (uint32_t r = 0; r < 8; r++)
            for (uint32_t c = 0; c < 64; c++) {
                const bool inside = r + 4 < rows && c + 48 < columns;
                ASSERT_EQ(got[swizzled(r * 128 + c * 2) / 2], inside ? values[(r + 4) * columns + c + 48] : 0)
                    << r << ' ' << c;
            }
    });
}

TEST(ptx_sm90, tensor_stores) {
    constexpr uint32_t rows = 10, columns = 96;
    in_every_order([&] {
        const Device<uint16_t> tensor(std::vector<uint16_t>(rows * columns, 7));
        const Map map = map_of(tensor, rows, columns, 8);
        OneKernel(parameters, prelude + std::string(begin) + R"(shl.b32 %r2, %t, 2;
mul.lo.u32 %r3, %t, 0x20002;
add.u32 %r3, %r3, 0x10000;
st.shared.u32 [%r2], %r3;
fence.proxy.async.shared::cta;
bar.sync 0;
@%p0 cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group [%rd1, {48, 4}], [0];
@%p0 cp.async.bulk.commit_group;
@%p0 cp.async.bulk.wait_group.read 0;
)")
            .must(1, 256, 1024, tensor, map, map);
        const std::vector<uint16_t> got = tensor.get();
        for (uint32_t r = 0; r < rows; r++)
            for (uint32_t c = 0; c < columns; c++) {
                const bool inside = r >= 4 && c >= 48;
                ASSERT_EQ(got[r * columns + c], inside ? swizzled((r - 4) * 128 + (c - 48) * 2) / 2 : 7)
                    << r << ' ' << c;
            }
    });
}

namespace {

// c (64,8) = a (64,64) b (8,64)^T, small whole numbers, by one warpgroup.
struct Product {
    std::vector<uint16_t> a_values, b_values;
    std::vector<float> want;
    Product() : a_values(64 * 64), b_values(8 * 64), want(64 * 8) {
        const auto a = [](size_t m, size_t k) { return float(int(m * 3 + k * 5) % 11 - 5); };
        const auto b = [](size_t n, size_t k) { return float(int(n * 7 + k * 2) % 9 - 4); };
        for (size_t i = 0; i < a_values.size(); i++) a_values[i] = bf16(a(i / 64, i % 64));
        for (size_t i = 0; i < b_values.size(); i++) b_values[i] = bf16(b(i / 64, i % 64));
        for (size_t m = 0; m < 64; m++)
            for (size_t n = 0; n < 8; n++)
                for (size_t k = 0; k < 64; k++) want[m * 8 + n] += a(m, k) * b(n, k);
    }
    Outcome launch(const std::string& body, const Device<float>& out) const {
        const Device<uint16_t> a(a_values), b(b_values);
        const OneKernel kernel(parameters, body);
        return kernel.launch(1, 128, 9216, out, map_of(a, 64, 64, 64), map_of(b, 8, 64, 8));
    }
};
constexpr char fence[] = "wgmma.fence.sync.aligned;\n", commit[] = "wgmma.commit_group.sync.aligned;\n",
               wait[] = "wgmma.wait_group.sync.aligned 0;\n";
std::string loaded() {
    return prelude + std::string(begin) + announce(9216) + load("0", "%rd1", "0", "0") +
           load("8192", "%rd2", "0", "0") + wait_for_loads;
}
// %rd3 and %rd4 have the descriptors.
constexpr char descriptors[] =
    "mov.u64 %rd3, 0x4000004000010000;\nmov.u64 %rd4, 0x4000004000010200;\nsetp.ne.u32 %p2, %t, %t;\nsetp.eq.u32 %p3, "
    "%t, %t;\n";
std::string multiply(int step, bool adds) {
    return std::string(step ? "add.s64 %rd3, %rd3, 2;\nadd.s64 %rd4, %rd4, 2;\n" : "") +
           "wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%f1, %f2, %f3, %f4}, %rd3, %rd4, " +
           (adds ? "%p3" : "%p2") + ", 1, 1, 0, 0;\n";
}
std::string products() {
    return descriptors + multiply(0, false) + multiply(1, true) + multiply(2, true) + multiply(3, true);
}
// Row 16 warp + lane / 4 (+ 8), columns 2 (lane % 4) and the next.
constexpr char store[] = R"(shr.u32 %r2, %t, 5;
and.b32 %r3, %t, 31;
shr.u32 %r4, %r3, 2;
mad.lo.u32 %r4, %r2, 16, %r4;
and.b32 %r3, %r3, 3;
shl.b32 %r3, %r3, 3;
mad.lo.u32 %r4, %r4, 32, %r3;
cvt.u64.u32 %rd5, %r4;
add.s64 %rd5, %rd5, %out;
st.global.v2.f32 [%rd5], {%f1, %f2};
st.global.v2.f32 [%rd5+256], {%f3, %f4};
)";
std::string fault(const std::string& body) {
    const Device<float> out(64 * 8);
    const Outcome o = Product().launch(body, out);
    EXPECT_NE(o.error, cudaSuccess);
    expect_says(o.said, {"k, block (0,0,0)", "k.cu:"});
    return o.said;
}

}  // namespace

TEST(ptx_sm90, products_of_shared_matrices) {
    const Product p;
    in_every_order([&] {
        const Device<float> out(64 * 8);
        const Outcome o = p.launch(
            loaded() + "setmaxnreg.inc.sync.aligned.u32 240;\n" + fence + products() + commit + wait + store, out);
        EXPECT_EQ(o.error, cudaSuccess) << o.said;
        EXPECT_EQ(out.get(), p.want);
    });
}

// a comes from registers, which ldmatrix fills: lane l of a warp names row l % 16, and 8 columns on from lane 16.
TEST(ptx_sm90, products_of_registers_and_a_shared_matrix) {
    const Product p;
    std::string body = loaded() + descriptors + R"(shr.u32 %r2, %t, 5;
and.b32 %r3, %t, 15;
mad.lo.u32 %r2, %r2, 16, %r3;
shl.b32 %r2, %r2, 7;
bfe.u32 %r4, %t, 4, 1;
shl.b32 %r4, %r4, 4;
or.b32 %r2, %r2, %r4;
)";
    std::string multiplies = fence;
    for (int k = 0; k < 4; k++) {
        const std::string first = std::to_string(10 + 4 * k),
                          registers = "{%r" + first + ", %r" + std::to_string(11 + 4 * k) + ", %r" +
                                      std::to_string(12 + 4 * k) + ", %r" + std::to_string(13 + 4 * k) + '}';
        body += "add.u32 %r5, %r2, " + std::to_string(32 * k) +
                ";\nbfe.u32 %r6, %r5, 7, 3;\nshl.b32 %r6, %r6, 4;\nxor.b32 %r5, %r5, "
                "%r6;\nldmatrix.sync.aligned.m8n8.x4.shared.b16 " +
                registers + ", [%r5];\n";
        multiplies += (k ? "add.s64 %rd4, %rd4, 2;\n" : "") +
                      ("wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%f1, %f2, %f3, %f4}, " + registers) +
                      ", %rd4, " + (k ? "%p3" : "%p2") + ", 1, 1, 0;\n";
    }
    in_every_order([&] {
        const Device<float> out(64 * 8);
        const Outcome o = p.launch(body + multiplies + commit + wait + store, out);
        EXPECT_EQ(o.error, cudaSuccess) << o.said;
        EXPECT_EQ(out.get(), p.want);
    });
}

// An accumulator's register that nobody reads is its own until the wait, be there others that live only then.
TEST(ptx_sm90, registers_of_products_are_their_own_until_the_wait) {
    const Product p;
    in_every_order([&] {
        const Device<float> out(64 * 8);
        std::string some_of_it = store;
        some_of_it.replace(some_of_it.find("{%f3, %f4}"), 10, "{%f9, %f10}");
        const Outcome o =
            p.launch(loaded() + fence + products() + commit +
                         "mov.f32 %f9, 0f40000000;\nmov.f32 %f10, 0f40400000;\nmov.f32 %f11, 0f40800000;\n" + wait +
                         "add.f32 %f9, %f9, %f11;\nadd.f32 %f10, %f10, %f11;\n" + some_of_it,
                     out);
        EXPECT_EQ(o.error, cudaSuccess) << o.said;
        const std::vector<float> got = out.get();
        for (size_t i = 0; i < got.size(); i++) ASSERT_EQ(got[i], i / 64 % 2 == 0 ? p.want[i] : 6 + float(i % 2)) << i;
    });
}

TEST(ptx_sm90, reading_too_early_gives_nan) {
    const Product p;
    in_every_order([&] {
        const Device<float> out(64 * 8);
        EXPECT_EQ(p.launch(loaded() + fence + products() + commit + store + wait, out).error, cudaSuccess);
        for (const float x : out.get()) ASSERT_TRUE(std::isnan(x));
    });
    const simt::Order before = simt::order();  // in others the loads may have come
    simt::set_order({});
    const Device<float> out(128);
    const Outcome o = p.launch(prelude + std::string(begin) + announce(8192) + load("0", "%rd1", "0", "0") +
                                   "bar.sync 0;\nld.shared.f32 %f1, [0];\nst.global.f32 [%at], %f1;\n" + wait_for_loads,
                               out);
    EXPECT_EQ(o.error, cudaSuccess) << o.said;
    for (const float x : out.get()) ASSERT_TRUE(std::isnan(x));
    simt::set_order(before);
}

TEST(ptx_sm90, faults) {
    in_every_order([] {
        const std::string no_wait_for_load =
            prelude + std::string(begin) + announce(8192) + load("0", "%rd1", "0", "0");
        expect_says(fault(no_wait_for_load), {"nobody has waited for its load at k.cu:" +
                                              std::to_string(line_of(no_wait_for_load, "@%p0 cp.async.bulk"))});
        expect_says(fault(loaded() + fence + products() + commit),
                    {"this thread has ended, but not waited for its product at "});
        expect_says(fault(loaded() + products() + commit + wait),
                    {"stands between the last use of its accumulator and "});
        const std::string written = loaded() + fence + products() + commit + "mov.f32 %f2, 0f00000000;\n" + wait;
        expect_says(fault(written), {"was written before the product was waited for"});
        expect_says(fault(loaded() + "setp.ge.u32 %p4, %t, 96;\n@%p4 exit;\n" + fence + products() + commit + wait),
                    {"deadlock", "for the other warps"});
        expect_says(fault(loaded() + "setp.eq.u32 %p4, %t, 70;\n@%p4 bra OTHER;\n" + fence + "OTHER:\n" + descriptors +
                          multiply(0, false) + commit + wait + "@%p4 " + fence),
                    {"deadlock"});
        const std::string bare = prelude + std::string(begin);
        const std::string zeros = "@%p0 st.shared.u32 [64], 0;\n@%p0 st.shared.u32 [68], 0;\n";
        expect_says(fault(bare + zeros + "@%p0 mbarrier.arrive.shared.b64 _, [64];\n"),
                    {"mbarrier.arrive: this is no initialised barrier, or it was overwritten"});
        expect_says(fault(bare + announce(4096) + load("512", "%rd1", "0", "0")), {"is not a multiple of 1024"});
        expect_says(fault(bare + announce(8192) + load("8192", "%rd1", "0", "0")), {"is not in dynamic shared memory"});
        expect_says(
            fault(bare + "@%p0 st.shared.u32 [0], %t;\n@%p0 cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group "
                         "[%rd2, {0, 0}], [0];\n@%p0 cp.async.bulk.commit_group;\n@%p0 cp.async.bulk.wait_group 0;\n"),
            {"no proxy_fence() has followed the writing of byte 0"});
        expect_says(fault(bare + "@%p0 cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group [%rd2, {0, 0}], "
                                 "[0];\n@%p0 cp.async.bulk.commit_group;\n"),
                    {"may still read shared memory"});
        expect_says(fault(bare + "wgmma.fence.sync.aligned;\n" +
                          std::string("mov.u64 %rd3, 0x4000004000010000;\nmov.u64 %rd4, "
                                      "0x0000004000010200;\nsetp.ne.u32 %p2, %t, %t;\n") +
                          multiply(0, false) + commit + wait),
                    {"a descriptor has bits that no descriptor of 128-byte swizzle has"});
    });
}

}  // namespace ptx
