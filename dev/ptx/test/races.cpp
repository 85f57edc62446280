// Accesses that nothing orders, and reads of what nobody wrote, are reported with both lines; those that are ordered
// are not.
#include <omp.h>
#include "program.h"

namespace ptx {
namespace {

// The thread's own word of shared memory in %r1, that of its neighbour in the other warp in %r2, in its own warp in
// %r3.
const std::string words = R"(shl.b32 %r1, %t, 2;
xor.b32 %r2, %r1, 128;
xor.b32 %r3, %r1, 4;
)";
const std::string begin = words + "st.shared.u32 [%r1], %t;\nbar.sync 0;\n";

Outcome run(const std::string& body, unsigned blocks = 1, unsigned threads = 64) {
    const Device<uint32_t> out(std::vector<uint32_t>(1024));
    return OneKernel(".param .u64 out", prelude + body).launch(blocks, threads, 1024, out);
}
void expect_clean(const std::string& body, unsigned blocks = 1) {
    SCOPED_TRACE(body);
    in_every_order([&] {
        const Outcome o = run(body, blocks);
        EXPECT_EQ(o.error, cudaSuccess) << o.said;
    });
}
// The lines with "//1" and "//2" are those of the two accesses, in either order.
void expect_race(const std::string& body, unsigned blocks = 1) {
    SCOPED_TRACE(body);
    in_every_order([&] {
        const Outcome o = run(body, blocks);
        EXPECT_EQ(o.error, cudaErrorLaunchFailure);
        expect_says(o.said, {"a race: this ", "k, block ("});
        for (const char* mark : {"//1", "//2"})
            if (body.find(mark) != body.npos)
                expect_says(o.said, {"k.cu:" + std::to_string(line_of(prelude + body, mark))});
    });
}

}  // namespace

TEST(ptx_races, between_warps) {
    expect_race(begin + "ld.shared.u32 %r4, [%r2]; //1\nst.shared.u32 [%r1], 7; //2\n");
    expect_race(begin + "st.shared.u32 [%r1], 7; //1\nld.shared.u32 %r4, [%r2]; //2\n");
    expect_clean(begin + "ld.shared.u32 %r4, [%r2];\nbar.sync 0;\nst.shared.u32 [%r1], 7;\n");
    expect_clean(begin + "ld.shared.u32 %r4, [%r2];\nst.global.u32 [%at], %r4;\n");  // readers only
    // A barrier of another number, which both warps pass, orders them as well; one that each passes alone does not.
    expect_clean(begin + "ld.shared.u32 %r4, [%r2];\nbar.sync 3, 64;\nst.shared.u32 [%r1], 7;\n");
    expect_race(begin + "shr.u32 %r5, %t, 5;\nadd.u32 %r5, %r5, 1;\nld.shared.u32 %r4, [%r2]; //1\n" +
                "barrier.sync %r5, 32;\nst.shared.u32 [%r1], 7; //2\n");
}

TEST(ptx_races, arriving_is_half_a_barrier) {
    const std::string producer =
        begin +
        "setp.lt.u32 %p1, %t, 32;\n@%p1 bra producer;\nBARRIER\nld.shared.u32 %r4, [%r2];\nbra "
        "done;\nproducer: st.shared.u32 [%r1], 9;\nbar.arrive 1, 64;\ndone: ret;\n";
    std::string waits = producer, does_not = producer;
    waits.replace(waits.find("BARRIER"), 7, "bar.sync 1, 64;");
    does_not.replace(does_not.find("BARRIER"), 7, "bar.arrive 1, 64;");
    expect_clean(waits);
    expect_race(does_not);
}

TEST(ptx_races, within_a_warp) {
    expect_race(begin + "st.shared.u32 [0], %t; //1\n");
    // The same value from lanes of one instruction does no harm.
    expect_clean(begin + "setp.lt.u32 %p1, %t, 32;\n@%p1 st.shared.u32 [512], 7;\n");
    expect_race(begin + "st.shared.u32 [%r1], 7; //1\nld.shared.u32 %r4, [%r3]; //2\n");
    expect_clean(begin + "st.shared.u32 [%r1], 7;\nbar.warp.sync -1;\nld.shared.u32 %r4, [%r3];\n");
    // A shuffle waits for the others, but what they wrote need not be there yet.
    expect_race(begin + "st.shared.u32 [%r1], 7; //1\nshfl.sync.bfly.b32 %r5, %r1, 1, 31, -1;\n" +
                "ld.shared.u32 %r4, [%r3]; //2\n");
}

TEST(ptx_races, of_bytes) {
    const std::string halves = "shl.b32 %r6, %t, 1;\ncvt.u16.u32 %h1, %t;\n";
    expect_clean(begin + halves + "st.shared.u16 [%r6+512], %h1;\n");
    expect_race(begin + halves + "and.b32 %r6, %r6, 0xfffffffc;\nst.shared.u16 [%r6+512], %h1; //1\n");
}

TEST(ptx_races, atomics_are_in_none) {
    expect_clean(begin + "atom.shared.add.u32 %r4, [0], 1;\nred.global.add.u32 [%out], 1;\n", 3);
}

TEST(ptx_races, in_global_memory) {
    const int threads = omp_get_max_threads();
    omp_set_num_threads(1);  // else two blocks may not notice each other
    expect_race("st.global.u32 [%at], 1; //1\n", 2);
    expect_race("mov.u32 %r1, %ctaid.x;\nsetp.eq.u32 %p1, %r1, 0;\n@%p1 st.global.u32 [%at], 1; //1\n" +
                    std::string("@!%p1 ld.global.u32 %r2, [%at]; //2\n"),
                2);
    expect_clean("mov.u32 %r1, %ctaid.x;\nmad.wide.u32 %at, %r1, 256, %at;\nst.global.u32 [%at], 1;\n", 2);
    expect_race("xor.b32 %r1, %t, 32;\nmad.wide.u32 %rd1, %r1, 4, %out;\nst.global.u32 [%at], 1; //1\n" +
                std::string("ld.global.u32 %r2, [%rd1]; //2\n"));
    omp_set_num_threads(threads);
    // Launches come one after the other.
    const Device<uint32_t> out(std::vector<uint32_t>(64));
    const OneKernel k(".param .u64 out", prelude + std::string("st.global.u32 [%at], 1;\n"));
    for (int i = 0; i < 3; i++) k.must(1, 64, 0, out);
}

TEST(ptx_races, asynchronous_barriers_order) {
    const std::string init = words +
                             "setp.eq.u32 %p1, %t, 0;\n@%p1 mbarrier.init.shared::cta.b64 [512], 32;\n"
                             "@%p1 fence.mbarrier_init.release.cluster;\nst.shared.u32 [%r1], %t;\nbar.sync 0;\n"
                             "setp.lt.u32 %p2, %t, 32;\n@!%p2 bra reader;\n";
    const std::string writer =
        "st.shared.u32 [%r1], 9; //1\nmbarrier.arrive.release.cta.shared::cta.b64 _, [512];\nret;\n";
    const std::string waits =
        "reader: again: mbarrier.try_wait.parity.acquire.cta.shared::cta.b64 %p3, [512], 0;\n@!%p3 bra again;\n";
    const std::string reads = "ld.shared.u32 %r4, [%r2]; //2\n";
    expect_clean(init + writer + waits + reads);
    expect_race(init + writer + "reader: " + reads);
}

TEST(ptx_races, of_what_nobody_wrote) {
    const auto expect_unwritten = [](const std::string& body) {
        SCOPED_TRACE(body);
        in_every_order([&] {
            const Outcome o = run(body);
            EXPECT_EQ(o.error, cudaErrorLaunchFailure);
            expect_says(o.said, {"reads shared memory that nobody has written",
                                 "k.cu:" + std::to_string(line_of(prelude + body, "//1"))});
        });
    };
    expect_unwritten(begin + "ld.shared.u32 %r4, [%r1+512]; //1\n");
    expect_unwritten(begin + "mov.u16 %h1, 5;\nst.shared.u16 [%r1+512], %h1;\nld.shared.u32 %r4, [%r1+512]; //1\n");
    expect_unwritten(begin + "atom.shared.add.u32 %r4, [%r1+512], 1; //1\n");
    expect_unwritten(".shared .align 4 .b8 fixed[256];\n" + begin + "mov.u32 %r5, fixed;\nadd.u32 %r5, %r5, %r1;\n" +
                     "ld.shared.u32 %r4, [%r5]; //1\n");
    // What a block before has written is not this one's.
    expect_clean(begin + "ld.shared.u32 %r4, [%r1];\n", 3);
}

}  // namespace ptx
