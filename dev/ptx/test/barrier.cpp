// Barriers of a block (PTX ISA 9.7.13.1 to 9.7.13.3).
#include "program.h"

namespace ptx {

TEST(ptx_barrier, of_all_threads) {
    std::vector<uint32_t> want(128);
    for (unsigned t = 0; t < 128; t++) want[t] = 127 - t + (t ^ 33);
    in_every_order([&] {
        EXPECT_EQ(words_of(R"(.shared .align 4 .b8 s[512];
mov.u32 %r2, s;
mad.lo.u32 %r1, %t, 4, %r2;
st.shared.u32 [%r1], %t;
bar.sync 0;
sub.u32 %r3, 127, %t;
mad.lo.u32 %r3, %r3, 4, %r2;
ld.shared.u32 %r4, [%r3];
barrier.sync.aligned 0;
st.shared.u32 [%r1], %t;
barrier.sync 3;
xor.b32 %r3, %t, 33;
mad.lo.u32 %r3, %r3, 4, %r2;
ld.shared.u32 %r5, [%r3];
add.u32 %r4, %r4, %r5;
st.global.u32 [%at], %r4;
)",
                           128),
                  want);
    });
}

// Two warps fill for the two others: bar.arrive does not wait. The barrier's number is in a register.
TEST(ptx_barrier, named_for_some_warps) {
    std::vector<uint32_t> want(128);
    for (unsigned t = 0; t < 128; t++) want[t] = t < 64 ? t : 2 * (t - 64) + 2;
    in_every_order([&] {
        EXPECT_EQ(words_of(R"(.shared .align 4 .b8 s[256];
mov.u32 %r2, s;
and.b32 %r3, %t, 63;
mad.lo.u32 %r1, %r3, 4, %r2;
setp.ge.u32 %p1, %t, 64;
mov.u32 %r7, 0;
ROUND:
@%p1 bra READ;
bar.sync 5, 128;
add.u32 %r4, %t, %r7;
st.shared.u32 [%r1], %r4;
bar.arrive 4, 128;
mov.u32 %r6, %t;
bra NEXT;
READ:
mov.u32 %r8, 5;
bar.arrive %r8, 128;
bar.sync 4, 128;
ld.shared.u32 %r5, [%r1];
add.u32 %r5, %r5, %r3;
add.u32 %r6, %r5, 1;
NEXT:
add.u32 %r7, %r7, 1;
setp.lt.u32 %p2, %r7, 2;
@%p2 bra ROUND;
st.global.u32 [%at], %r6;
)",
                           128),
                  want);
    });
}

TEST(ptx_barrier, reductions) {
    in_every_order([] {
        EXPECT_EQ(words_of(R"(rem.u32 %r1, %t, 3;
setp.eq.u32 %p1, %r1, 0;
setp.lt.u32 %p2, %t, 96;
bar.red.popc.u32 %r2, 0, %p1;
bar.red.and.pred %p3, 0, %p1;
bar.red.or.pred %p4, 0, %p1;
barrier.red.and.pred %p5, 1, 96, %p2;
selp.b32 %r3, 100, 0, %p3;
add.u32 %r2, %r2, %r3;
selp.b32 %r3, 1000, 0, %p4;
add.u32 %r2, %r2, %r3;
selp.b32 %r3, 10000, 0, %p5;
add.u32 %r2, %r2, %r3;
st.global.u32 [%at], %r2;
)",
                           96),
                  std::vector<uint32_t>(96, 32 + 1000 + 10000));
    });
}

// Of barrier.sync, which is not aligned, each lane is counted where it comes.
TEST(ptx_barrier, diverged_lanes_may_come_separately) {
    in_every_order([] {
        EXPECT_EQ(words_of(R"(.shared .align 4 .u32 x;
mov.u32 %r1, 0;
setp.ne.u32 %p1, %t, 40;
@%p1 bra OTHERS;
st.shared.u32 [x], 12;
barrier.sync 0;
bra JOIN;
OTHERS:
barrier.sync 0;
ld.shared.u32 %r1, [x];
JOIN:
add.u32 %r1, %r1, 1;
st.global.u32 [%at], %r1;
)",
                           64),
                  [] {
                      std::vector<uint32_t> want(64, 13);
                      want[40] = 1;
                      return want;
                  }());
    });
}

// By a guard too: those that it leaves out go on, to another one.
TEST(ptx_barrier, guarded_lanes_may_come_separately) {
    std::vector<uint32_t> want(64);
    for (unsigned t = 0; t < 64; t++) want[t] = t == 40 ? 12 : t;
    in_every_order([&] {
        EXPECT_EQ(words_of(R"(mov.u32 %r1, %t;
setp.ne.u32 %p1, %t, 40;
@%p1 barrier.sync 0;
@!%p1 mov.u32 %r1, 12;
@!%p1 barrier.sync 0;
st.global.u32 [%at], %r1;
)",
                           64),
                  want);
    });
}

}  // namespace ptx
