// What counters say of accesses whose sectors, conflicts and paths are known.
#include "dev/ptx/counters.h"
#include "program.h"

namespace ptx {
namespace {

KernelCounts counted(const std::string& body, unsigned blocks = 1, unsigned threads = 32, size_t shared_bytes = 8192) {
    const simt::Order before = simt::order();
    simt::set_order({});
    const Device<uint32_t> out(std::vector<uint32_t>(4096));
    const OneKernel k(".param .u64 out", prelude + body);
    start_counting();
    k.must(blocks, threads, shared_bytes, out);
    const std::vector<KernelCounts> all = stop_counting();
    simt::set_order(before);
    EXPECT_EQ(all.size(), 1u);
    return all.empty() ? KernelCounts{} : all[0];
}
Counts of_line(const std::string& body, const std::string& mark) {
    const KernelCounts k = counted(body);
    for (const LineCounts& l : k.lines)
        if (l.file == "k.cu" && l.line == line_of(prelude + body, mark)) return l.counts;
    ADD_FAILURE() << "no line " << mark;
    return {};
}
// The conflicts of a load whose lanes are so many bytes apart.
uint64_t conflicts(const std::string& type, const std::string& values, unsigned apart) {
    const Counts c = of_line(".shared .align 16 .b8 s[8192];\nmov.u32 %r9, s;\nmad.lo.u32 %r1, %t, " +
                                 std::to_string(apart) + ", %r9;\nst.shared." + type + " [%r1], " + values +
                                 "; //1\nbar.sync 0;\nld.shared." + type + " " + values + ", [%r1];\n",
                             "//1");
    EXPECT_EQ(c.shared_requests, 1u);
    return c.conflicts();
}

}  // namespace

TEST(ptx_counters, sectors_and_useful_bytes) {
    const auto read = [](const std::string& load) {
        return of_line("mad.wide.u32 %rd1, %t, 64, %out;\nand.b32 %r1, %t, 7;\nmad.wide.u32 %rd2, %r1, 4, %out;\n" +
                           load + " //1\n",
                       "//1")
            .read;
    };
    const Traffic words = read("ld.global.u32 %r2, [%at];");
    EXPECT_EQ(words.requests, 1u);
    EXPECT_EQ(words.sectors, 4u);
    EXPECT_EQ(words.useful, 128u);
    EXPECT_EQ(words.once, 128u);
    const Traffic far = read("ld.global.u32 %r2, [%rd1];");
    EXPECT_EQ(far.sectors, 32u);
    EXPECT_EQ(far.useful, 128u);
    EXPECT_EQ(far.once, 32u * 32);
    const Traffic wide = read("ld.global.v4.u32 {%r2, %r3, %r4, %r5}, [%rd1];");
    EXPECT_EQ(wide.sectors, 32u);
    EXPECT_EQ(wide.useful, 512u);
    const Traffic same = read("ld.global.u32 %r2, [%rd2];");  // eight words of one sector
    EXPECT_EQ(same.sectors, 1u);
    EXPECT_EQ(same.useful, 32u);
    const Traffic generic = read("ld.u32 %r2, [%at];");
    EXPECT_EQ(generic.sectors, 4u);
    EXPECT_EQ(read("cp.async.ca.shared.global [0], [%out], 16;").sectors, 1u);
}

TEST(ptx_counters, a_sector_counts_once_a_launch) {
    const std::string body =
        "ld.global.u32 %r1, [%at];\nld.global.u32 %r2, [%at];\nadd.u32 %r1, %r1, %r2;\nbar.sync 0;\n"
        "setp.lt.u32 %p1, %t, 8;\nmov.u32 %r3, %ctaid.x;\nmad.wide.u32 %rd1, %r3, 32, %at;\n"
        "@%p1 st.global.u32 [%rd1+4096], %r1;\n";
    const KernelCounts k = counted(body, 3);
    EXPECT_EQ(k.launches, 1u);
    EXPECT_EQ(k.all.read.sectors, 3u * 2 * 4);
    EXPECT_EQ(k.all.read.once, 4u * 32);
    EXPECT_EQ(k.all.written.sectors, 3u);
    EXPECT_EQ(k.all.written.once, 3u * 32);
    const KernelCounts update = counted("red.global.add.u32 [%at], 1;\n");
    EXPECT_EQ(update.all.read.once, 128u);
    EXPECT_EQ(update.all.written.once, 128u);
}

TEST(ptx_counters, bank_conflicts) {
    EXPECT_EQ(conflicts("u32", "%t", 4), 0u);
    EXPECT_EQ(conflicts("u32", "%t", 8), 1u);
    EXPECT_EQ(conflicts("u32", "%t", 12), 0u);
    EXPECT_EQ(conflicts("u32", "%t", 128), 31u);
    EXPECT_EQ(conflicts("v2.u32", "{%t, %t}", 8), 0u);
    EXPECT_EQ(conflicts("v2.u32", "{%t, %t}", 16), 2u);
    EXPECT_EQ(conflicts("v4.u32", "{%t, %t, %t, %t}", 16), 0u);
    EXPECT_EQ(conflicts("v4.u32", "{%t, %t, %t, %t}", 128), 28u);  // 8 instead of 1, four times
    EXPECT_EQ(conflicts("v4.u32", "{%t, %t, %t, %t}", 144), 0u);   // rows with a gap
    // All lanes want one word: that is no conflict.
    const Counts same = of_line("st.shared.u32 [0], 7;\nbar.sync 0;\nld.shared.u32 %r1, [0]; //1\n", "//1");
    EXPECT_EQ(same.conflicts(), 0u);
    EXPECT_EQ(same.wavefronts, 1u);
}

// The rows of each matrix are those of eight lanes.
TEST(ptx_counters, bank_conflicts_of_matrices) {
    const auto of = [](unsigned apart) {
        return of_line("mad.lo.u32 %r1, %t, " + std::to_string(apart) +
                           ", 0;\nst.shared.v4.u32 [%r1], {%t, %t, %t, %t};\nbar.warp.sync -1;\n"
                           "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r2, %r3, %r4, %r5}, [%r1]; //1\n",
                       "//1");
    };
    EXPECT_EQ(of(16).conflicts(), 0u);
    EXPECT_EQ(of(16).wavefronts, 4u);
    EXPECT_EQ(of(64).conflicts(), 4u * 3);
    EXPECT_EQ(of(128).conflicts(), 4u * 7);
}

TEST(ptx_counters, divergence_and_lanes) {
    const std::string body = "setp.lt.u32 %p1, %t, 8;\n@%p1 bra low; //1\nadd.u32 %r1, %t, 1; //2\nlow: ret;\n";
    EXPECT_EQ(of_line(body, "//1").divergent, 1u);
    EXPECT_EQ(of_line(body, "//1").branches, 1u);
    EXPECT_EQ(of_line(body, "//2").lanes, 24u);
    const std::string together = "setp.lt.u32 %p1, %t, 99;\n@%p1 bra low; //1\nlow: ret;\n";
    EXPECT_EQ(of_line(together, "//1").divergent, 0u);
}

TEST(ptx_counters, products_and_main_loops) {
    const std::string mma =
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%f1, %f2, %f3, %f4}, {%r1, %r2, %r3, %r4}, {%r5, %r6}, "
        "{%f1, %f2, %f3, %f4};\n";
    const std::string slow = "mad.lo.u32 %r8, %t, 8, 0;\nst.shared.u32 [%r8], 1;\n";
    const std::string body = "mov.u32 %r9, 0;\n" + slow + "again: add.u32 %r9, %r9, 1;\n" + mma +
                             "setp.lt.u32 %p1, %r9, 5;\n@%p1 bra again;\n";
    const KernelCounts k = counted(body);
    EXPECT_EQ(k.all.operations, 5u * 2 * 16 * 8 * 16);
    EXPECT_EQ(k.kinds[size_t(Kind::tensor)], 5u);
    EXPECT_EQ(k.main_loops.operations, k.all.operations);
    EXPECT_EQ(k.all.conflicts(), 1u);
    EXPECT_EQ(k.main_loops.conflicts(), 0u);
    std::string inside = body;
    inside.insert(inside.find(mma), slow);
    EXPECT_EQ(counted(inside).main_loops.conflicts(), 5u);
    // Of a kernel without products all loops count.
    EXPECT_EQ(
        counted("mov.u32 %r9, 0;\nagain: add.u32 %r9, %r9, 1;\n" + slow + "setp.lt.u32 %p1, %r9, 5;\n@%p1 bra again;\n")
            .main_loops.conflicts(),
        5u);
}

TEST(ptx_counters, nothing_is_counted_unasked) {
    const Device<uint32_t> out(32);
    OneKernel(".param .u64 out", std::string(prelude) + "st.global.u32 [%at], %t;\n").must(1, 32, 0, out);
    start_counting();
    EXPECT_TRUE(stop_counting().empty());
}

}  // namespace ptx
