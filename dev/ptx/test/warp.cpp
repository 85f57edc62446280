// Shuffles, votes, matches, reductions of a warp (PTX ISA 9.7.9.6, 9.7.13.9 to 9.7.13.16).
#include <algorithm>
#include <random>
#include "program.h"

namespace ptx {
namespace {

uint32_t own(unsigned lane) { return 1000 + lane * lane; }
constexpr char set_own[] = "mul.lo.u32 %r1, %t, %t;\nadd.u32 %r1, %r1, 1000;\n";  // %r1 = own(lane)
std::string number(uint32_t n) { return std::to_string(n); }

// As the manual's pseudocode has it.
uint32_t shuffled(const std::string& mode, unsigned lane, unsigned b, unsigned c, bool& inside) {
    const unsigned segment = c >> 8 & 31, clamp = c & 31;
    const int max_lane = int((lane & segment) | (clamp & ~segment & 31)), min_lane = int(lane & segment);
    int j = 0;
    b &= 31;
    if (mode == "up") j = int(lane) - int(b), inside = j >= max_lane;
    if (mode == "down") j = int(lane + b), inside = j <= max_lane;
    if (mode == "bfly") j = int(lane ^ b), inside = j <= max_lane;
    if (mode == "idx") j = min_lane | int(b & ~segment & 31), inside = j <= max_lane;
    return own(inside ? unsigned(j) : lane);
}

}  // namespace

TEST(ptx_warp, shuffles_of_every_mode_and_width) {
    for (const std::string mode : {"up", "down", "bfly", "idx"})
        for (const unsigned width : {1u, 2u, 4u, 8u, 16u, 32u})
            for (const unsigned by : {0u, 1u, 3u, 4u, 16u, 31u, 33u}) {
                const unsigned c = (32 - width) << 8 | (mode == "up" ? 0 : 31);
                SCOPED_TRACE(mode + " by " + number(by) + " in " + number(width));
                std::vector<uint32_t> want(32);
                for (unsigned lane = 0; lane < 32; lane++) {
                    bool inside = false;
                    want[lane] = shuffled(mode, lane, by, c, inside);
                    want[lane] += inside << 30;
                }
                EXPECT_EQ(
                    words_of(set_own + ("shfl.sync." + mode) + ".b32 %r2|%p1, %r1, " + number(by) + ", " + number(c) +
                             ", -1;\nselp.b32 %r3, 0x40000000, 0, %p1;\nadd.u32 %r2, %r2, %r3;\nst.global.u32 [%at], "
                             "%r2;\n"),
                    want);
            }
}

// Lanes may each read another, over themselves, and clamp at another lane than the last.
TEST(ptx_warp, shuffles_by_registers) {
    in_every_order([] {
        std::vector<uint32_t> want(32);
        for (unsigned lane = 0; lane < 32; lane++) {
            bool inside = false;
            want[lane] = shuffled("idx", lane, lane * 7, 20, inside);
        }
        EXPECT_EQ(
            words_of(
                set_own +
                std::string(
                    "mul.lo.u32 %r2, %t, 7;\nshfl.sync.idx.b32 %r1, %r1, %r2, 20, -1;\nst.global.u32 [%at], %r1;\n")),
            want);
    });
}

TEST(ptx_warp, votes) {
    in_every_order([] {
        const std::vector<uint32_t> got = words_of(R"(and.b32 %r1, %t, 3;
setp.eq.u32 %p1, %r1, 0;
setp.lt.u32 %p2, %t, 32;
vote.sync.ballot.b32 %r2, %p1, -1;
vote.sync.ballot.b32 %r3, !%p1, -1;
vote.sync.any.pred %p3, %p1, -1;
vote.sync.all.pred %p4, %p1, -1;
vote.sync.all.pred %p5, %p2, -1;
vote.sync.uni.pred %p6, %p1, -1;
vote.sync.uni.pred %p7, !%p2, -1;
vote.sync.any.pred %p8, !%p2, -1;
not.b32 %r3, %r3;
sub.u32 %r4, %r2, %r3;
selp.b32 %r5, 1, 0, %p3;
add.u32 %r4, %r4, %r5;
selp.b32 %r5, 2, 0, %p4;
add.u32 %r4, %r4, %r5;
selp.b32 %r5, 4, 0, %p5;
add.u32 %r4, %r4, %r5;
selp.b32 %r5, 8, 0, %p6;
add.u32 %r4, %r4, %r5;
selp.b32 %r5, 16, 0, %p7;
add.u32 %r4, %r4, %r5;
selp.b32 %r5, 32, 0, %p8;
add.u32 %r4, %r4, %r5;
add.u32 %r4, %r4, %r2;
st.global.u32 [%at], %r4;
)");
        EXPECT_EQ(got, std::vector<uint32_t>(32, 0x11111111 + 1 + 4 + 16));
    });
}

TEST(ptx_warp, matches) {
    in_every_order([] {
        std::vector<uint32_t> want(32);
        for (unsigned lane = 0; lane < 32; lane++)
            for (unsigned other = 0; other < 32; other++) want[lane] |= (other % 5 == lane % 5) << other;
        EXPECT_EQ(words_of("rem.u32 %r1, %t, 5;\nmatch.any.sync.b32 %r2, %r1, -1;\nst.global.u32 [%at], %r2;\n"), want);
        EXPECT_EQ(words_of("rem.u32 %r1, %t, 5;\ncvt.u64.u32 %rd1, %r1;\nshl.b64 %rd1, %rd1, 40;\nmatch.any.sync.b64 "
                           "%r2, %rd1, -1;\nst.global.u32 [%at], %r2;\n"),
                  want);
        EXPECT_EQ(words_of("rem.u32 %r1, %t, 5;\nmatch.all.sync.b32 %r2|%p1, %r1, -1;\nselp.b32 %r3, 5, 6, "
                           "%p1;\nadd.u32 %r2, %r2, %r3;\nst.global.u32 [%at], %r2;\n"),
                  std::vector<uint32_t>(32, 6));
        EXPECT_EQ(words_of("mov.u32 %r1, 5;\nmatch.all.sync.b32 %r2|%p1, %r1, -1;\nselp.b32 %r3, 5, 6, %p1;\nadd.u32 "
                           "%r2, %r2, %r3;\nst.global.u32 [%at], %r2;\n"),
                  std::vector<uint32_t>(32, 4));
    });
}

TEST(ptx_warp, reductions) {
    std::vector<uint32_t> x(32);
    std::mt19937 random(5);
    for (uint32_t& v : x) v = random() | 1;
    const auto reduced = [&](const std::string& op, unsigned mask) {
        uint32_t r = 0;
        bool first = true;
        for (unsigned i = 0; i < 32; i++) {
            if (!(mask >> i & 1)) continue;
            const uint32_t v = x[i];
            if (first) r = v;
            else if (op == "add.u32" || op == "add.s32") r += v;
            else if (op == "min.u32") r = std::min(r, v);
            else if (op == "max.u32") r = std::max(r, v);
            else if (op == "min.s32") r = uint32_t(std::min(int32_t(r), int32_t(v)));
            else if (op == "max.s32") r = uint32_t(std::max(int32_t(r), int32_t(v)));
            else if (op == "and.b32") r &= v;
            else if (op == "or.b32") r |= v;
            else r ^= v;
            first = false;
        }
        return r;
    };
    in_every_order([&] {
        const Device<uint32_t> in(x), out(32);
        for (const std::string op :
             {"add.u32", "add.s32", "min.u32", "max.u32", "min.s32", "max.s32", "and.b32", "or.b32", "xor.b32"}) {
            SCOPED_TRACE(op);
            // Lanes 0 to 11 among themselves, and the others.
            OneKernel(".param .u64 out, .param .u64 in",
                      std::string(prelude) +
                          "ld.param.u64 %rd1, [in];\nmad.wide.u32 %rd1, %t, 4, %rd1;\nld.global.u32 %r1, [%rd1];\n"
                          "setp.lt.u32 %p1, %t, 12;\nselp.b32 %r2, 0xfff, 0xfffff000, %p1;\nredux.sync." +
                          op + " %r1, %r1, %r2;\nst.global.u32 [%at], %r1;\n")
                .must(1, 32, 0, out, in);
            std::vector<uint32_t> want(32);
            for (unsigned i = 0; i < 32; i++) want[i] = reduced(op, i < 12 ? 0xfff : 0xfffff000);
            EXPECT_EQ(out.get(), want);
        }
    });
}

TEST(ptx_warp, one_lane_is_elected) {
    in_every_order([] {
        const std::vector<uint32_t> got = words_of(
            "elect.sync %r1|%p1, -1;\nselp.b32 %r2, 100, 0, %p1;\nadd.u32 %r1, %r1, %r2;\nst.global.u32 [%at], %r1;\n");
        const uint32_t leader = *std::min_element(got.begin(), got.end());
        for (unsigned lane = 0; lane < 32; lane++) EXPECT_EQ(got[lane], leader + (lane == leader ? 100 : 0)) << lane;
        EXPECT_LT(leader, 32u);
    });
}

// Lanes that have diverged meet within their masks, be it in different places of the code.
TEST(ptx_warp, diverged_lanes_shuffle_among_themselves) {
    std::vector<uint32_t> want(32);
    for (unsigned lane = 0; lane < 32; lane++) want[lane] = lane % 2 ? own(lane ^ 2) : own(lane ^ 4) + 7;
    in_every_order([&] {
        EXPECT_EQ(words_of(set_own + std::string(R"(and.b32 %r2, %t, 1;
setp.eq.u32 %p1, %r2, 0;
@%p1 bra EVEN;
shfl.sync.bfly.b32 %r3, %r1, 2, 31, 0xaaaaaaaa;
bra JOIN;
EVEN:
shfl.sync.bfly.b32 %r3, %r1, 4, 31, 0x55555555;
add.u32 %r3, %r3, 7;
JOIN:
bar.warp.sync -1;
st.global.u32 [%at], %r3;
)")),
                  want);
    });
}

// Of lanes that have exited nobody waits for.
TEST(ptx_warp, masks_may_name_lanes_that_have_exited) {
    in_every_order([] {
        const std::vector<uint32_t> got = words_of(R"(st.global.u32 [%at], %t;
setp.ge.u32 %p1, %t, 20;
@%p1 exit;
setp.ne.u32 %p2, %t, 3;
vote.sync.ballot.b32 %r1, %p2, -1;
redux.sync.add.u32 %r2, %t, -1;
add.u32 %r1, %r1, %r2;
st.global.u32 [%at], %r1;
)");
        for (unsigned lane = 0; lane < 32; lane++) EXPECT_EQ(got[lane], lane < 20 ? 0xffff7 + 190 : lane);
    });
}

// Threads that were never there: 40 of two warps.
TEST(ptx_warp, of_a_part) {
    in_every_order([] {
        const std::vector<uint32_t> got = words_of(R"(setp.ge.u32 %p1, %t, 0;
vote.sync.ballot.b32 %r1, %p1, -1;
mov.u32 %r2, %nwarpid;
mov.u32 %r3, %warpid;
mad.lo.u32 %r1, %r2, %r3, %r1;
bar.sync 0;
st.global.u32 [%at], %r1;
)",
                                                   40);
        for (unsigned i = 0; i < 40; i++) EXPECT_EQ(got[i], i < 32 ? ~0u : 0xffu + 2);
    });
}

TEST(ptx_warp, special_registers) {
    const Device<uint32_t> out(3 * 2 * 60 * 8);
    in_every_order([&] {
        OneKernel(".param .u64 out", std::string(prelude) + R"(mov.u32 %r1, %ntid.x;
mov.u32 %r2, %ntid.y;
mov.u32 %r3, %ntid.z;
mov.u32 %r4, %tid.y;
mov.u32 %r5, %tid.z;
mad.lo.u32 %r6, %r5, %r2, %r4;
mad.lo.u32 %r6, %r6, %r1, %t;
mov.u32 %r7, %ctaid.x;
mov.u32 %r8, %ctaid.y;
mov.u32 %r9, %ctaid.z;
mov.u32 %r10, %nctaid.x;
mov.u32 %r11, %nctaid.y;
mad.lo.u32 %r12, %r9, %r11, %r8;
mad.lo.u32 %r12, %r12, %r10, %r7;
mul.lo.u32 %r13, %r1, %r2;
mul.lo.u32 %r13, %r13, %r3;
mad.lo.u32 %r13, %r12, %r13, %r6;
mad.wide.u32 %rd1, %r13, 32, %out;
mov.u32 %r14, %laneid;
mov.u32 %r15, %lanemask_eq;
mov.u32 %r16, %lanemask_lt;
mov.u32 %r17, %lanemask_le;
mov.u32 %r18, %lanemask_gt;
mov.u32 %r19, %lanemask_ge;
mov.u32 %r20, %nctaid.z;
mov.u32 %r21, WARP_SZ;
st.global.v4.u32 [%rd1], {%r14, %r15, %r16, %r17};
st.global.v4.u32 [%rd1+16], {%r18, %r19, %r20, %r21};
)")
            .must(dim3(3, 1, 2), dim3(5, 4, 3), 0, out);
        const std::vector<uint32_t> got = out.get();
        for (unsigned i = 0; i < 3 * 2 * 60; i++) {
            const unsigned lane = i % 60 % 32, bit = 1u << lane;
            const std::vector<uint32_t> of_thread(got.begin() + i * 8, got.begin() + i * 8 + 8);
            EXPECT_EQ(of_thread, (std::vector<uint32_t>{lane, bit, bit - 1, bit | (bit - 1), ~(bit | (bit - 1)),
                                                        ~(bit - 1), 2, 32}))
                << i;
        }
    });
}

}  // namespace ptx
