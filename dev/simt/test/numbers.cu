// bf16 and bit tricks against definitions that take a different road: searching for the nearest value.
#include <cmath>
#include <random>
#include "kernel_test.h"

namespace {

using bf16 = __nv_bfloat16;
bf16 of_bits(unsigned bits) { return __ushort_as_bfloat16(static_cast<unsigned short>(bits)); }
bool is_nan(unsigned short bits) { return (bits & 0x7fff) > 0x7f80; }

// Values of one sign in order of magnitude are consecutive as integers; 0x7f80, infinity,
// stands for 2^128 when rounding.
long double magnitude(unsigned bits) {
    return bits == 0x7f80 ? std::ldexp(1.0L, 128) : static_cast<long double>(float(of_bits(bits)));
}

enum class To { nearest, zero, up, down };
unsigned short rounded(long double x, To to) {
    if (std::isnan(x)) return 0x7fff;
    const unsigned sign = std::signbit(x) ? 0x8000 : 0;
    const long double size = std::fabs(x);
    unsigned low = 0, high = 0x7f80;  // magnitude(low) <= size
    if (size >= magnitude(high)) low = high;
    while (low != high && high - low > 1) {
        const unsigned middle = (low + high) / 2;
        (magnitude(middle) <= size ? low : high) = middle;
    }
    if (low == 0x7f80 && (std::isinf(x) || to == To::nearest)) return static_cast<unsigned short>(sign | low);
    if (magnitude(low) == size) return static_cast<unsigned short>(sign | low);
    const long double below = size - magnitude(low), above = magnitude(low + 1) - size;
    const bool away = to == To::nearest ? above < below || (above == below && low % 2)
                      : to == To::zero  ? false
                                        : (to == To::up) == (sign == 0);
    return static_cast<unsigned short>(sign | (low + away));
}

std::vector<unsigned> interesting_floats() {
    std::vector<unsigned> values;
    for (unsigned high = 0; high < 0x10000; high += 1 + high % 7)
        for (unsigned low : {0u, 1u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu}) values.push_back(high << 16 | low);
    std::mt19937 random(1);
    for (int i = 0; i < 100000; i++) values.push_back(unsigned(random()));
    return values;
}

__global__ void convert_kernel(unsigned short* out, const unsigned* inp, int n) {
    for (int i = int(threadIdx.x); i < n; i += int(blockDim.x))
        out[i] = __bfloat16_as_ushort(__float2bfloat16(__uint_as_float(inp[i])));
}

}  // namespace

TEST(simt, floats_become_bf16_as_in_cuda) {
    const std::vector<unsigned> values = interesting_floats();
    const Device<unsigned> inp(values);
    const Device<unsigned short> out(values.size());
    run(convert_kernel, 1, 64, 0, out, inp, int(values.size()));
    const std::vector<unsigned short> got = out.get();
    for (size_t i = 0; i < values.size(); i++) {
        const float x = __uint_as_float(values[i]);
        if (x == 0) {  // its sign is none to the compiler (-fno-signed-zeros)
            ASSERT_EQ(got[i], values[i] >> 16);
            continue;
        }
        ASSERT_EQ(got[i], rounded(x, To::nearest)) << std::hexfloat << x;
        ASSERT_EQ(__float2bfloat16_rz(x).bits, rounded(x, To::zero)) << std::hexfloat << x;
        ASSERT_EQ(__float2bfloat16_ru(x).bits, rounded(x, To::up)) << std::hexfloat << x;
        ASSERT_EQ(__float2bfloat16_rd(x).bits, rounded(x, To::down)) << std::hexfloat << x;
    }
}

TEST(simt, bf16_becomes_float_and_back) {
    for (unsigned bits = 0; bits < 0x10000; bits++) {
        const bf16 x = of_bits(bits);
        ASSERT_EQ(__float_as_uint(float(x)), bits << 16);
        ASSERT_EQ(bf16(float(x)).bits, is_nan(x.bits) ? 0x7fff : bits);
    }
    EXPECT_EQ(sizeof(bf16), 2u);
    EXPECT_EQ(alignof(__nv_bfloat162), 4u);
}

TEST(simt, bf16_operations_round_once) {
    std::mt19937 random(2);
    for (int i = 0; i < 200000; i++) {
        // Exponents close enough for the long double's 64 bits to hold the exact result.
        const auto any = [&] { return of_bits((random() & 0x8000) | (0x3f80 - 0x500 + random() % 0xa00)); };
        const bf16 a = any(), b = any(), c = any();
        const long double x = float(a), y = float(b), z = float(c);
        ASSERT_EQ((a + b).bits, rounded(x + y, To::nearest));
        ASSERT_EQ((a - b).bits, rounded(x - y, To::nearest));
        ASSERT_EQ((a * b).bits, rounded(x * y, To::nearest));
        ASSERT_EQ(__hfma(a, b, c).bits, rounded(x * y + z, To::nearest))
            << float(a) << ' ' << float(b) << ' ' << float(c);
    }
    // A tie that only the tiny addend breaks: a float on the way would forget it, and a double too.
    const bf16 half_way_a = of_bits(0x3f81),
               half_way_b = of_bits(0x3fc0);  // 1.0078125 * 1.5 = 1.51171875, between two bf16
    ASSERT_EQ(__hfma(half_way_a, half_way_b, of_bits(0x0080)).bits, 0x3fc2);
    ASSERT_EQ(__hfma(half_way_a, half_way_b, of_bits(0x8080)).bits, 0x3fc1);
    ASSERT_EQ(__hfma(half_way_a, half_way_b, of_bits(0)).bits, 0x3fc2);
    // 1 + 2^-8 + 2^-40 is above the tie at 1 + 2^-8; as a float it is the tie.
    ASSERT_EQ(bf16(1 + std::ldexp(1.0, -8) + std::ldexp(1.0, -40)).bits, 0x3f81);
    ASSERT_EQ(bf16(1 + std::ldexp(1.0, -8)).bits, 0x3f80);
    ASSERT_EQ(bf16(257).bits, 0x4380);
    ASSERT_EQ(bf16(16843009).bits, 0x4b81);  // 2^24 + 2^16 + 2^8 + 1
    ASSERT_EQ(bf16(1e-300).bits, 0);
    ASSERT_EQ(bf16(-1e300).bits, 0xff80);
}

TEST(simt, bit_functions) {
    EXPECT_EQ(__byte_perm(0x33221100, 0x77665544, 0x7410), 0x77441100u);
    EXPECT_EQ(__byte_perm(0x80000000, 0, 0x000b), 0x000000ffu);
    EXPECT_EQ(__brev(1), 0x80000000u);
    EXPECT_EQ(__clz(0), 32);
    EXPECT_EQ(__clz(1), 31);
    EXPECT_EQ(__ffs(8), 4);
    EXPECT_EQ(__popc(0xf0f0), 8);
    EXPECT_EQ(__umulhi(0x80000000, 6), 3u);
    EXPECT_EQ(__mulhi(-1, 1), -1);
    EXPECT_EQ(__funnelshift_l(0x80000001, 0x12345678, 4), 0x23456788u);
    EXPECT_EQ(__funnelshift_r(0x80000001, 0x12345678, 4), 0x88000000u);
    EXPECT_EQ(min(__int_as_float(0x7fc00000), 1.0f), 1.0f);
    EXPECT_EQ(max(1u, 2u), 2u);
}
