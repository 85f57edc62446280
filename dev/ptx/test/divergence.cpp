// Lanes that go different ways, and meet again (PTX ISA 8.5, 9.7.12).
#include "program.h"

namespace ptx {

TEST(ptx_divergence, branches_within_branches) {
    std::vector<uint32_t> want(64);
    for (unsigned t = 0; t < 64; t++) {
        unsigned x = t;
        if (t % 2) {
            x += 100;
            if (t % 3 == 0) x += 1000;
            else if (t % 5 == 0) x *= 3;
        } else if (t > 40) x += 5;
        want[t] = x + 1;
    }
    in_every_order([&] {
        EXPECT_EQ(words_of(R"(mov.u32 %r1, %t;
and.b32 %r2, %t, 1;
setp.eq.u32 %p1, %r2, 0;
@%p1 bra EVEN;
add.u32 %r1, %r1, 100;
rem.u32 %r3, %t, 3;
setp.ne.u32 %p2, %r3, 0;
@%p2 bra NOT_THREE;
add.u32 %r1, %r1, 1000;
bra.uni JOIN;
NOT_THREE:
rem.u32 %r3, %t, 5;
setp.eq.u32 %p3, %r3, 0;
@!%p3 bra JOIN;
mul.lo.u32 %r1, %r1, 3;
bra JOIN;
EVEN:
setp.le.u32 %p4, %t, 40;
@%p4 bra JOIN;
add.u32 %r1, %r1, 5;
JOIN:
add.u32 %r1, %r1, 1;
st.global.u32 [%at], %r1;
)",
                           64),
                  want);
    });
}

// Each lane has another number of rounds; a loop within a loop; the shuffle after them needs all.
TEST(ptx_divergence, loops_with_different_numbers_of_rounds) {
    std::vector<uint32_t> sums(32), want(32);
    for (unsigned t = 0; t < 32; t++)
        for (unsigned i = 0; i < t % 7; i++)
            for (unsigned j = 0; j <= i; j++) sums[t] += i * 10 + j;
    for (unsigned t = 0; t < 32; t++) want[t] = sums[t] + sums[t ^ 1];
    in_every_order([&] {
        EXPECT_EQ(words_of(R"(rem.u32 %r1, %t, 7;
mov.u32 %r2, 0;
mov.u32 %r3, 0;
OUTER:
setp.ge.u32 %p1, %r2, %r1;
@%p1 bra DONE;
mov.u32 %r4, 0;
INNER:
mad.lo.u32 %r5, %r2, 10, %r4;
add.u32 %r3, %r3, %r5;
add.u32 %r4, %r4, 1;
setp.le.u32 %p2, %r4, %r2;
@%p2 bra INNER;
add.u32 %r2, %r2, 1;
bra OUTER;
DONE:
shfl.sync.bfly.b32 %r6, %r3, 1, 31, -1;
add.u32 %r3, %r3, %r6;
st.global.u32 [%at], %r3;
)"),
                  want);
    });
}

TEST(ptx_divergence, lanes_leave_out_of_loops) {
    std::vector<uint32_t> want(96);
    for (unsigned t = 0; t < 96; t++) want[t] = t % 32 < 8 ? t % 32 : 8 + (t / 32 == 2 ? 96 - 3 * 8 : 0);
    in_every_order([&] {
        EXPECT_EQ(words_of(R"(mov.u32 %r3, %laneid;
mov.u32 %r1, 0;
LOOP:
setp.eq.u32 %p1, %r1, %r3;
@!%p1 bra ON;
st.global.u32 [%at], %r1;
ret;
ON:
add.u32 %r1, %r1, 1;
setp.lt.u32 %p2, %r1, 8;
@%p2 bra LOOP;
setp.ge.u32 %p3, %t, 64;
mov.u32 %r2, 0;
bar.red.popc.u32 %r2, 0, %p3;
bar.sync 0;
setp.eq.u32 %p4, %r2, 24;
@!%p3 mov.u32 %r2, 0;
@%p4 mad.lo.u32 %r2, %r2, 3, 0;
@!%p3 mov.u32 %r2, 0;
add.u32 %r1, %r1, %r2;
st.global.u32 [%at], %r1;
)",
                           96),
                  want);
    });
}

// One lane waits for what another lane of its warp will store: lanes make progress of their own.
TEST(ptx_divergence, a_lane_waits_for_another_of_its_warp) {
    for (const unsigned writer : {0u, 31u})
        for (const bool backward : {false, true}) {
            SCOPED_TRACE("lane " + std::to_string(writer));
            const std::string wait = R"(WAIT:
ld.volatile.shared.u32 %r2, [flag];
setp.ne.u32 %p2, %r2, 9;
@%p2 bra WAIT;
)",
                              tell = "mov.u32 %r2, 9;\nst.volatile.shared.u32 [flag], %r2;\n";
            const std::string first = backward ? tell : wait, second = backward ? wait : tell;
            const std::string body = ".shared .align 4 .u32 flag;\nsetp.eq.u32 %p1, %t, " + std::to_string(writer) +
                                     ";\nst.shared.u32 [flag], 0;\nbar.warp.sync -1;\n@" + (backward ? "!" : "") +
                                     "%p1 bra OTHER;\n" + first + "bra JOIN;\nOTHER:\n" + second +
                                     "JOIN:\nbar.warp.sync -1;\nadd.u32 %r2, %r2, %t;\nst.global.u32 [%at], %r2;\n";
            std::vector<uint32_t> want(32);
            for (unsigned t = 0; t < 32; t++) want[t] = 9 + t;
            in_every_order([&] { EXPECT_EQ(words_of(body), want); });
        }
}

TEST(ptx_divergence, a_warp_waits_for_another) {
    std::vector<uint32_t> want(64);
    for (unsigned t = 0; t < 64; t++) want[t] = t < 32 ? t + 9 : 77;
    for (const unsigned waiting : {0u, 1u}) {
        if (waiting)
            for (unsigned t = 0; t < 64; t++) want[t] = t < 32 ? 77 : t + 9;
        in_every_order([&] {
            EXPECT_EQ(words_of(".shared .align 4 .u32 flag;\nsetp.eq.u32 %p4, %t, 0;\n@%p4 st.shared.u32 [flag], "
                               "0;\nbar.sync 0;\nshr.u32 %r1, %t, "
                               "5;\nsetp.ne.u32 %p1, %r1, " +
                                   std::to_string(waiting) + R"(;
@%p1 bra TELL;
WAIT:
ld.acquire.cta.shared.u32 %r2, [flag];
setp.ne.u32 %p2, %r2, 9;
@%p2 bra WAIT;
add.u32 %r3, %t, 9;
st.global.u32 [%at], %r3;
ret;
TELL:
st.global.u32 [%at], 77;
setp.ne.u32 %p3, %t, 63;
and.b32 %r4, %t, 31;
setp.eq.u32 %p3, %r4, 17;
@%p3 st.release.cta.shared.u32 [flag], 9;
)",
                               64),
                      want);
        });
    }
}

// Where lanes wait for each other they may stand at different instructions: those of two branches.
TEST(ptx_divergence, lanes_meet_at_different_instructions) {
    std::vector<uint32_t> want(32);
    for (unsigned t = 0; t < 32; t++) want[t] = (t ^ 16) + 100;
    in_every_order([&] {
        EXPECT_EQ(words_of(R"(.shared .align 4 .b8 s[128];
shl.b32 %r1, %t, 2;
mov.u32 %r2, s;
add.u32 %r1, %r1, %r2;
add.u32 %r3, %t, 100;
setp.lt.u32 %p1, %t, 16;
@%p1 bra LOW;
st.shared.u32 [%r1], %r3;
bar.warp.sync -1;
ld.shared.u32 %r4, [%r1+-64];
bra JOIN;
LOW:
st.shared.u32 [%r1], %r3;
bar.warp.sync -1;
ld.shared.u32 %r4, [%r1+64];
JOIN:
st.global.u32 [%at], %r4;
)"),
                  want);
    });
}

// Registers whose lives do not overlap in the text may overlap in time: lanes are in different places.
TEST(ptx_divergence, registers_of_diverged_lanes_are_their_own) {
    std::vector<uint32_t> want(32);
    for (unsigned t = 0; t < 32; t++) want[t] = t < 16 ? 3 * t + (t ^ 1) : 5 * t + (t ^ 1);
    in_every_order([&] {
        EXPECT_EQ(words_of(R"(setp.lt.u32 %p1, %t, 16;
@%p1 bra LOW;
mul.lo.u32 %r1, %t, 5;
setp.eq.u32 %p2, %r1, %r1;
shfl.sync.bfly.b32 %r2, %t, 1, 31, 0xffff0000;
@%p2 add.u32 %r1, %r1, %r2;
st.global.u32 [%at], %r1;
bra JOIN;
LOW:
mul.lo.u32 %r3, %t, 3;
setp.ne.u32 %p3, %r3, %r3;
shfl.sync.bfly.b32 %r4, %t, 1, 31, 0xffff;
@!%p3 add.u32 %r3, %r3, %r4;
st.global.u32 [%at], %r3;
JOIN:
)"),
                  want);
    });
}

// Odd lanes take so long that even ones come round first and wait; then they come by the same jump back.
TEST(ptx_divergence, lanes_meet_where_a_jump_back_leads) {
    in_every_order([] {
        const auto out = words_of(R"(mov.u32 %r1, 0;
and.b32 %r2, %t, 1;
setp.eq.u32 %p1, %r2, 0;
and.b32 %r2, %t, 2;
setp.eq.u32 %p3, %r2, 0;
again:
shfl.sync.idx.b32 %r4, %r1, 0, 31, -1;
@%p1 bra even;
@%p3 bra odd;
add.u32 %r5, %r5, 1;
odd:
mov.u32 %r3, 0;
long:
add.u32 %r3, %r3, 1;
setp.lt.u32 %p2, %r3, 100;
@%p2 bra long;
even:
add.u32 %r1, %r1, 1;
setp.lt.u32 %p2, %r1, 20;
@%p2 bra again;
st.global.u32 [%at], %r4;
)");
        EXPECT_EQ(out, std::vector<uint32_t>(32, 19));
    });
}

}  // namespace ptx
