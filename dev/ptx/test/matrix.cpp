// ldmatrix, stmatrix and mma (PTX ISA 9.7.14.5), against where the manual says elements are.
#include "program.h"

namespace ptx {
namespace {

std::string number(unsigned n) { return std::to_string(n); }

// Shared memory with 16-bit words 0, 1, 2, ... in rows of 8, one after the other, at s; %r21 has the address of the
// lane's row.
constexpr char rows[] = R"(.shared .align 16 .b8 s[512];
mov.u32 %r20, s;
mad.lo.u32 %r21, %t, 16, %r20;
mul.lo.u32 %r22, %t, 0x80008;
add.u32 %r22, %r22, 0x10000;
add.u32 %r23, %r22, 0x20002;
add.u32 %r24, %r23, 0x20002;
add.u32 %r25, %r24, 0x20002;
st.shared.v4.u32 [%r21], {%r22, %r23, %r24, %r25};
bar.warp.sync -1;
)";
std::string registers(unsigned n) { return n == 1 ? "{%r1}" : n == 2 ? "{%r1, %r2}" : "{%r1, %r2, %r3, %r4}"; }

}  // namespace

// Matrix i's row j is at lane 8 i + j's address. The addresses are in a scattered order of rows.
TEST(ptx_matrix, loads) {
    for (const unsigned n : {1u, 2u, 4u})
        for (const bool transposed : {false, true})
            in_every_order([&] {
                const auto row_of = [](unsigned lane) { return (lane * 5 + 3) % 32; };
                std::string body = rows;
                body += "mad.lo.u32 %r5, %t, 5, 3;\nand.b32 %r5, %r5, 31;\nmad.lo.u32 %r5, %r5, 16, %r20;\n";
                if (n < 4)
                    body +=
                        "setp.ge.u32 %p1, %t, " + number(8 * n) + ";\n@%p1 mov.u32 %r5, 0x7ffffff1;\n";  // not asked
                body += "ldmatrix.sync.aligned.m8n8.x" + number(n) + (transposed ? ".trans" : "") + ".shared.b16 " +
                        registers(n) + ", [%r5];\n";
                for (unsigned k = 0; k < n; k++)
                    body += "st.global.u32 [%at+" + number(128 * k) + "], %r" + number(k + 1) + ";\n";
                const Device<uint32_t> out(32 * n);
                OneKernel(".param .u64 out", prelude + body).must(1, 32, 0, out);
                std::vector<uint32_t> want(32 * n);
                for (unsigned k = 0; k < n; k++)
                    for (unsigned lane = 0; lane < 32; lane++) {
                        const unsigned g = lane / 4, t = lane % 4;
                        const auto element = [&](unsigned row, unsigned column) {
                            return row_of(8 * k + row) * 8 + column;
                        };
                        want[32 * k + lane] = transposed ? element(2 * t, g) | element(2 * t + 1, g) << 16
                                                         : element(g, 2 * t) | element(g, 2 * t + 1) << 16;
                    }
                EXPECT_EQ(out.get(), want) << n << transposed;
            });
}

// What stmatrix stores ldmatrix gives back, and a transposed store of a plain load transposes.
TEST(ptx_matrix, stores) {
    for (const unsigned n : {1u, 2u, 4u})
        for (const bool transposed : {false, true})
            in_every_order([&] {
                std::string body = rows;
                body += "ldmatrix.sync.aligned.m8n8.x" + number(n) + ".shared.b16 " + registers(n) +
                        ", [%r21];\nbar.warp.sync -1;\n";
                body += "stmatrix.sync.aligned.m8n8.x" + number(n) + (transposed ? ".trans" : "") +
                        ".shared.b16 [%r21], " + registers(n) + ";\nbar.warp.sync -1;\n";
                body +=
                    "ld.shared.v4.u32 {%r1, %r2, %r3, %r4}, [%r21];\nmad.wide.u32 %rd1, %t, 16, "
                    "%out;\nst.global.v4.u32 [%rd1], {%r1, %r2, %r3, %r4};\n";
                const Device<uint32_t> out(128);
                OneKernel(".param .u64 out", prelude + body).must(1, 32, 0, out);
                std::vector<uint32_t> want(128);
                for (unsigned row = 0; row < 32; row++)
                    for (unsigned column = 0; column < 8; column++) {
                        const bool moved = transposed && row < 8 * n;
                        const uint32_t value = moved ? (row / 8 * 8 + column) * 8 + row % 8 : row * 8 + column;
                        want[row * 4 + column / 2] |= value << 16 * (column % 2);
                    }
                EXPECT_EQ(out.get(), want) << n << transposed;
            });
}

// d = a b + c with small whole numbers, which are exact: fragments as the manual lays them out.
TEST(ptx_matrix, products) {
    const auto a_at = [](unsigned m, unsigned k) { return int(m * 3 + k * 5) % 11 - 5; };
    const auto b_at = [](unsigned k, unsigned n) { return int(k * 7 + n * 2) % 9 - 4; };
    const auto c_at = [](unsigned m, unsigned n) { return float(m) - 2 * float(n); };
    const auto bf16 = [](int x) { return __builtin_bit_cast(uint32_t, float(x)) >> 16; };
    std::vector<uint32_t> fragments(32 * 12);  // of each lane: a, b, c, and two words unused
    std::vector<float> want(32 * 4);
    for (unsigned lane = 0; lane < 32; lane++) {
        const unsigned g = lane / 4, t = lane % 4;
        uint32_t* f = &fragments[lane * 12];
        for (unsigned i = 0; i < 8; i++) {  // a_i
            const unsigned row = i < 2 || (i >= 4 && i < 6) ? g : g + 8, column = t * 2 + (i & 1) + (i >= 4 ? 8 : 0);
            f[i / 2] |= bf16(a_at(row, column)) << 16 * (i % 2);
        }
        for (unsigned i = 0; i < 4; i++) {  // b_i
            const unsigned row = t * 2 + (i & 1) + (i >= 2 ? 8 : 0);
            f[4 + i / 2] |= bf16(b_at(row, g)) << 16 * (i % 2);
        }
        for (unsigned i = 0; i < 4; i++) {  // c_i
            const unsigned row = i < 2 ? g : g + 8, column = t * 2 + (i & 1);
            f[6 + i] = __builtin_bit_cast(uint32_t, c_at(row, column));
            float sum = c_at(row, column);
            for (unsigned k = 0; k < 16; k++) sum += float(a_at(row, k) * b_at(k, column));
            want[lane * 4 + i] = sum;
        }
    }
    const std::string product =
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%f1, %f2, %f3, %f4}, "
        "{%r1, %r2, %r3, %r4}, {%r5, %r6}, {%f1, %f2, %f3, %f4};";
    in_every_order([&] {
        const Device<uint32_t> in(fragments);
        const Device<float> out(32 * 4);
        OneKernel(".param .u64 out, .param .u64 in", std::string(prelude) + R"(ld.param.u64 %rd1, [in];
mad.wide.u32 %rd1, %t, 48, %rd1;
ld.global.v4.u32 {%r1, %r2, %r3, %r4}, [%rd1];
ld.global.v2.u32 {%r5, %r6}, [%rd1+16];
ld.global.v2.f32 {%f1, %f2}, [%rd1+24];
ld.global.v2.f32 {%f3, %f4}, [%rd1+32];
)" + product + R"(
mad.wide.u32 %rd2, %t, 16, %out;
st.global.v4.f32 [%rd2], {%f1, %f2, %f3, %f4};
)")
            .must(1, 32, 0, out, in);
        EXPECT_EQ(out.get(), want);
    });
}

}  // namespace ptx
