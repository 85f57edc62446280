// Clusters: each other's shared memory, their barrier, copies into several blocks, copies of bytes, sums. And what is
// said of blocks that are not there.
#include "program.h"

namespace ptx {
namespace {

constexpr char of_two[] = ".reqnctapercluster 2, 1, 1", of_four[] = ".reqnctapercluster 2, 2, 1";
// %r20 the block's rank, %r21 the next block's, %r22 of how many.
const std::string ranks = std::string(prelude) +
                          "mov.u32 %r20, %cluster_ctarank;\nmov.u32 %r22, %cluster_nctarank;\nadd.u32 %r21, %r20, "
                          "1;\nrem.u32 %r21, %r21, %r22;\nmov.u32 %r23, %ctaid.x;\nmad.lo.u32 %r24, %r23, 32, "
                          "%t;\nmad.wide.u32 %at, %r24, 4, %out;\n";
const std::string meet = "barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;\n";

Outcome run(const std::string& body, const char* directive, const Device<uint32_t>& out, dim3 grid, dim3 block = 32) {
    return OneKernel(".param .u64 out", body, "", directive).launch(grid, block, 4096, out);
}
void expect(const std::string& body, const std::vector<uint32_t>& want, unsigned blocks = 4,
            const char* directive = of_two) {
    SCOPED_TRACE(body);
    in_every_order([&] {
        const Device<uint32_t> out(std::vector<uint32_t>(want.size()));
        const Outcome o = run(body, directive, out, blocks);
        EXPECT_EQ(o.error, cudaSuccess) << o.said;
        EXPECT_EQ(out.get(), want);
    });
}
void expect_fault(const std::string& body, const std::string& what, dim3 block = 32) {
    SCOPED_TRACE(body);
    in_every_order([&] {
        const Device<uint32_t> out(std::vector<uint32_t>(256));
        const Outcome o = run(body, of_two, out, 2, block);
        EXPECT_NE(o.error, cudaSuccess);
        expect_says(o.said, {what, "k, block ("});
    });
}
// 32 threads of four blocks, each by f(block, thread).
template <class F>
std::vector<uint32_t> each(F f) {
    std::vector<uint32_t> all;
    for (uint32_t b = 0; b < 4; b++)
        for (uint32_t t = 0; t < 32; t++) all.push_back(f(b, t));
    return all;
}
// %r1: a barrier of the block, whose first thread, the only one without %p1, expects 128 bytes there.
constexpr char expect_128[] = R"(.shared .align 8 .b8 b[8];
mov.u32 %r1, b;
setp.ne.u32 %p1, %t, 0;
@%p1 bra READY;
mbarrier.init.shared::cta.b64 [%r1], 1;
fence.mbarrier_init.release.cluster;
mbarrier.arrive.expect_tx.shared::cta.b64 _, [%r1], 128;
READY:
)";
const std::string own_word = "mad.lo.u32 %r1, %t, 4, 0;\nmad.lo.u32 %r2, %r23, 100, %t;\nst.shared.u32 [%r1], %r2;\n";

}  // namespace

TEST(ptx_cluster, others_shared_memory) {
    const auto neighbour = [](uint32_t b, uint32_t t) { return (b ^ 1) * 100 + t; };
    expect(ranks + own_word + meet +
               "mapa.shared::cluster.u32 %r3, %r1, %r21;\nld.shared::cluster.u32 %r4, [%r3];\n"
               "st.global.u32 [%at], %r4;\n" +
               meet,
           each(neighbour));
    // By generic addresses.
    expect(ranks + own_word + meet +
               "cvt.u64.u32 %rd1, %r1;\ncvta.shared.u64 %rd1, %rd1;\nmapa.u64 %rd2, %rd1, %r21;\nld.u32 %r4, [%rd2];\n"
               "getctarank.u64 %r5, %rd2;\nsub.u32 %r5, %r5, %r21;\nadd.u32 %r4, %r4, %r5;\n"
               "st.global.u32 [%at], %r4;\n" +
               meet,
           each(neighbour));
    // Written there, and added there.
    expect(ranks + "mad.lo.u32 %r1, %t, 4, 0;\nst.shared.u32 [%r1], 0;\nst.shared.u32 [%r1+128], 5;\n" + meet +
               "mapa.shared::cluster.u32 %r3, %r1, %r21;\nst.shared::cluster.u32 [%r3], %r23;\n"
               "atom.shared::cluster.add.u32 %r9, [%r3+128], %t;\n" +
               meet +
               "ld.shared.u32 %r4, [%r1];\nld.shared.u32 %r5, [%r1+128];\nmad.lo.u32 %r4, %r4, 1000, %r5;\n"
               "st.global.u32 [%at], %r4;\n",
           each([](uint32_t b, uint32_t t) { return (b ^ 1) * 1000 + 5 + t; }));
}

TEST(ptx_cluster, ranks_and_places) {
    expect(ranks +
               "mov.u32 %r1, %cluster_ctaid.x;\nmov.u32 %r2, %clusterid.x;\nmov.u32 %r3, %nclusterid.x;\n"
               "mad.lo.u32 %r4, %r20, 10, %r1;\nmad.lo.u32 %r4, %r2, 100, %r4;\nmad.lo.u32 %r4, %r3, 1000, %r4;\n"
               "mad.lo.u32 %r4, %r22, 10000, %r4;\nst.global.u32 [%at], %r4;\n",
           each([](uint32_t b, uint32_t) { return 20000 + 2000 + b / 2 * 100 + b % 2 * 11; }));
}

TEST(ptx_cluster, a_barrier_of_others) {
    // Block 1 arrives twice at a barrier of block 0, which waits for both phases.
    const std::string body = ranks + R"(.shared .align 8 .b8 b[8];
mov.u32 %r1, b;
setp.ne.u32 %p1, %t, 0;
@%p1 bra READY;
mbarrier.init.shared::cta.b64 [%r1], 32;
fence.mbarrier_init.release.cluster;
READY:
)" + meet + R"(setp.eq.u32 %p2, %r20, 0;
@%p2 bra WAITS;
mapa.shared::cluster.u32 %r3, %r1, 0;
mad.lo.u32 %r4, %t, 4, 0;
mapa.shared::cluster.u32 %r4, %r4, 0;
st.shared::cluster.u32 [%r4], 7;
mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%r3];
bra DONE;
WAITS:
mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 %p3, [%r1], 0;
@!%p3 bra WAITS;
mad.lo.u32 %r4, %t, 4, 0;
ld.shared.u32 %r5, [%r4];
st.global.u32 [%at], %r5;
DONE:
)" + meet;
    expect(body, each([](uint32_t b, uint32_t) { return b % 2 ? 0 : 7; }));
}

// Each block's first thread brings 64 bytes to both: its own half of them.
TEST(ptx_cluster, copies_into_several_blocks) {
    const std::string body = ranks + expect_128 + meet + R"(mad.lo.u32 %r3, %r20, 64, 0;
mad.wide.u32 %rd1, %r3, 1, %out;
add.s64 %rd1, %rd1, 1024;
mov.u16 %h1, 3;
)" + "@!%p1 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster " +
                             "[%r3], [%rd1], 64, [%r1], %h1;\n" + R"(WAITS:
mbarrier.try_wait.parity.shared::cta.b64 %p3, [%r1], 0;
@!%p3 bra WAITS;
mad.lo.u32 %r4, %t, 4, 0;
ld.shared.u32 %r5, [%r4];
st.global.u32 [%at], %r5;
)" + meet;
    in_every_order([&] {
        std::vector<uint32_t> values(512);
        for (uint32_t i = 0; i < 32; i++) values[256 + i] = 9000 + i;
        const Device<uint32_t> out(values);
        const Outcome o = run(body, of_two, out, 4);
        EXPECT_EQ(o.error, cudaSuccess) << o.said;
        const auto got = out.get();
        for (uint32_t i = 0; i < 128; i++) ASSERT_EQ(got[i], 9000 + i % 32) << i;
    });
}

TEST(ptx_cluster, copies_between_blocks) {
    const std::string body = ranks + expect_128 + R"(mad.lo.u32 %r4, %t, 4, 0;
mad.lo.u32 %r5, %r23, 100, %t;
st.shared.u32 [%r4], %r5;
fence.proxy.async;
)" + meet + R"(mov.u32 %r8, 512;
mapa.shared::cluster.u32 %r6, %r8, %r21;
mapa.shared::cluster.u32 %r7, %r1, %r21;
@!%p1 cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes [%r6], [0], 128, [%r7];
WAITS:
mbarrier.try_wait.parity.shared::cta.b64 %p3, [%r1], 0;
@!%p3 bra WAITS;
ld.shared.u32 %r5, [%r4+512];
st.global.u32 [%at], %r5;
)" + meet;
    expect(body, each([](uint32_t b, uint32_t t) { return (b ^ 1) * 100 + t; }));
}

TEST(ptx_cluster, copies_that_add) {
    const std::string body = ranks +
                             "mad.lo.u32 %r4, %t, 4, 0;\nst.shared.u32 [%r4+16], %t;\nfence.proxy.async;\nbar.sync "
                             "0;\nsetp.ne.u32 %p1, %t, 0;\n@%p1 bra DONE;\n"
                             "cp.reduce.async.bulk.global.shared::cta.bulk_group.add.u32 [%out], [16], 128;\n"
                             "cp.async.bulk.commit_group;\ncp.async.bulk.wait_group 0;\nDONE:\n";
    in_every_order([&] {
        const Device<uint32_t> out(std::vector<uint32_t>(32, 1000));
        const Outcome o = run(body, of_two, out, 4);
        EXPECT_EQ(o.error, cudaSuccess) << o.said;
        for (uint32_t i = 0; i < 32; i++) ASSERT_EQ(out.get()[i], 1000 + 4 * i);
    });
}

TEST(ptx_cluster, faults) {
    // Without a barrier the other block may not be there yet, or not any more.
    const std::string reads = "mapa.shared::cluster.u32 %r3, %r1, %r21;\nld.shared::cluster.u32 %r4, [%r3];\n";
    expect_fault(ranks + own_word + reads, "the block of rank ");
    expect_fault(ranks + own_word + meet + "mapa.shared::cluster.u32 %r3, %r1, 2;\n",
                 "there is no block of rank 2 in this cluster");
    expect_fault(ranks + own_word + meet + "mapa.shared::cluster.u32 %r3, %r1, %r21;\nld.shared.u32 %r4, [%r3];\n",
                 "is not for .shared::cluster");
    expect_fault(ranks + own_word + meet +
                     "mapa.shared::cluster.u32 %r3, %r1, %r21;\n"
                     "ld.shared::cluster.u32 %r4, [%r3+4096];\n" +
                     meet,
                 "of the shared memory of the block of rank");
    expect_fault(ranks + meet + "mov.u32 %r1, 64;\n" + reads + meet, "reads shared memory that nobody has written");
    expect_fault(ranks + "setp.eq.u32 %p1, %r20, 0;\n@%p1 bra SKIP;\n" + meet +
                     "SKIP:\nbarrier.cluster.arrive.aligned;\n" + "barrier.cluster.arrive.aligned;\n",
                 "the lane has arrived before, and not waited since");
    expect_fault(ranks + "barrier.cluster.wait.aligned;\n", "the lane has not arrived");
    // One warp of a block waits for ever, all others for it.
    expect_fault(ranks + "mad.lo.u32 %r1, %r20, 64, %t;\nsetp.lt.u32 %p1, %r1, 32;\n@%p1 bar.sync 1, 64;\n" + meet,
                 "deadlock", 64);
}

TEST(ptx_cluster, launches) {
    const std::string body = ranks + "st.global.u32 [%at], %r22;\n";
    const Device<uint32_t> out(std::vector<uint32_t>(1024));
    EXPECT_EQ(run(body, of_two, out, 3).error, cudaErrorInvalidClusterSize);
    EXPECT_EQ(run(body, of_four, out, dim3(2, 3)).error, cudaErrorInvalidClusterSize);
    EXPECT_EQ(run(ranks + meet, of_four, out, dim3(4, 2)).error, cudaSuccess);
    EXPECT_EQ(run(body, ".reqnctapercluster 16, 1, 1", out, 16).error, cudaErrorInvalidClusterSize);
    EXPECT_EQ(run(ranks + meet + body.substr(ranks.size()), "", out, 2).error, cudaSuccess);  // a cluster of one
}

TEST(ptx_clock, goes_on) {
    const std::vector<uint32_t> later = words_of(
        "mov.u64 %rd1, %clock64;\nmov.u64 %rd2, %globaltimer;\nmov.u32 %r1, %clock;\nadd.u32 %r9, %t, 1;\n"
        "mov.u64 %rd3, %clock64;\nmov.u64 %rd4, %globaltimer;\nsetp.gt.u64 %p1, %rd3, %rd1;\n"
        "setp.gt.u64 %p2, %rd4, %rd2;\nand.pred %p1, %p1, %p2;\nselp.u32 %r2, 1, 0, %p1;\nst.global.u32 [%at], %r2;\n");
    for (const uint32_t x : later) EXPECT_EQ(x, 1u);
}

}  // namespace ptx
