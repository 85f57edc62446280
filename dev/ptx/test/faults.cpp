// Negative controls: what is wrong with a kernel is said, with kernel, block, thread, instruction and line.
#include <stdexcept>
#include "program.h"

namespace ptx {
namespace {

constexpr int illegal = 700, misaligned = 716, wrong = 719;

const std::string deadlock = "threads 0-6 wait in ";

struct Plant {
    std::string body;  // after the prelude; the line with "//!" is the one to be named
    std::string what;  // that must be said, beside kernel, block and line
    int error = illegal;
    std::string thread = "(3,0,0)";  // empty: none is named
    unsigned threads = 32;
    size_t shared_bytes = 16;
};

// The instruction of that line, without its guard.
std::string opcode_of(const std::string& body) {
    const size_t mark = body.find("//!"), before = body.rfind('\n', mark);
    std::string line = body.substr(before == body.npos ? 0 : before + 1, mark);
    if (line[0] == '@') line.erase(0, line.find(' ') + 1);
    return line.substr(0, line.find_first_of(" ;"));
}
void expect_caught(const Plant& p) {
    SCOPED_TRACE(p.body);
    const std::string body = prelude + p.body;
    in_every_order([&] {
        const Device<uint32_t> out(1024);
        const OneKernel k(".param .u64 out, .param .u32 n", body);
        const Outcome o = k.launch(1, p.threads, p.shared_bytes, out, uint32_t(3));
        EXPECT_EQ(int(o.error), p.error) << o.said;
        expect_says(o.said,
                    {"k, block (", opcode_of(body), p.what, p.what == deadlock ? "deadlock: no thread can go on" : "",
                     "k.cu:" + std::to_string(line_of(body, "//!"))});
        if (!p.thread.empty()) expect_says(o.said, {"thread " + p.thread});
    });
}
// Only thread 3 does it, so that every order names the same.
std::string of_one(const std::string& instruction) { return "setp.eq.u32 %p1, %t, 3;\n@%p1 " + instruction + " //!\n"; }

std::string refusal(const std::string& body, const std::string& outside = "", const std::string& directives = "") {
    try {
        const Device<uint32_t> out(32);
        OneKernel(".param .u64 out", body, outside, directives).launch(1, 32, 0, out);
    } catch (const std::runtime_error& e) { return e.what(); }
    return "nothing was refused";
}

}  // namespace

TEST(ptx_faults, outside_of_memory) {
    expect_caught({of_one("ld.global.u32 %r1, [%out+4096];"), "0 bytes past the end of device buffer"});
    expect_caught({of_one("st.global.u32 [%out+-4], %t;"), "device buffer"});
    expect_caught({of_one("ld.global.v4.u32 {%r1, %r2, %r3, %r4}, [%out+4096];"), "device buffer"});
    expect_caught({of_one("atom.global.add.u32 %r1, [%out+4096], 1;"), "device buffer"});
    expect_caught({"mov.u64 %rd1, 64;\n" + of_one("ld.u32 %r1, [%rd1];"), "an address in no device buffer: 0x40"});
    expect_caught(
        {of_one("ld.shared.u32 %r1, [16];"), "touches byte 16 of shared memory, but there are 16 dynamic ones"});
    expect_caught({".shared .align 4 .b8 s[8];\n" + of_one("st.shared.u32 [s+8], %t;"), "and 8 static ones"});
    expect_caught({"mov.u32 %r1, -4;\n" + of_one("st.shared.u32 [%r1], %t;"), "touches byte -4 of shared memory"});
    expect_caught({".local .align 4 .b8 l[16];\n" + of_one("ld.local.u32 %r1, [l+16];"),
                   "touches byte 16 of 16 of local memory"});
    expect_caught({of_one("ld.param.u32 %r1, [n+4];"), "touches byte 12 of the parameters"});
    expect_caught({of_one("cp.async.ca.shared.global [0], [%out+4096], 4;"), "device buffer"});
    expect_caught({of_one("cp.async.ca.shared.global [16], [%out], 4;"), "touches byte 16 of shared memory"});
    expect_caught({of_one("red.shared.add.u32 [16], 1;"), "touches byte 16 of shared memory"});
    expect_caught(
        {"mad.lo.u32 %r1, %t, 16, 0;\n"
         "setp.lt.u32 %p2, %t, 3;\n@%p2 st.shared.v4.u32 [%r1], {%t, %t, %t, %t};\nbar.warp.sync -1;\n"
         "ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r2}, [%r1]; //!\n",
         "touches byte 48 of shared memory", illegal, "(3,0,0)", 32, 48});
}

// The local memory of a lane ends where that of the next begins: a generic address must not reach over.
TEST(ptx_faults, local_memory_of_another_lane) {
    expect_caught({".local .align 4 .b8 l[16];\nmov.u64 %rd1, l;\ncvta.local.u64 %rd1, %rd1;\n" +
                       of_one("ld.u32 %r1, [%rd1+16];"),
                   "touches an address in no device buffer"});
}

TEST(ptx_faults, misaligned) {
    expect_caught({of_one("ld.global.v4.u32 {%r1, %r2, %r3, %r4}, [%out+8];"), "is not a multiple of 16", misaligned});
    expect_caught({of_one("st.global.v2.u32 [%out+4], {%t, %t};"), "is not a multiple of 8", misaligned});
    expect_caught({of_one("ld.shared.u16 %r1, [3];"), "is not a multiple of 2", misaligned});
    expect_caught({of_one("atom.global.add.u64 %rd1, [%out+4], 1;"), "is not a multiple of 8", misaligned});
    expect_caught({of_one("cp.async.ca.shared.global [0], [%out+4], 8;"), "is not a multiple of 8", misaligned});
    expect_caught(
        {"mad.lo.u32 %r1, %t, 16, 0;\nst.shared.v4.u32 [%r1], {%t, %t, %t, %t};\nbar.warp.sync -1;\n"
         "setp.eq.u32 %p1, %t, 3;\n@%p1 add.u32 %r1, %r1, 4;\nldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r2}, [%r1]; "
         "//!\n",
         "is not a multiple of 16", misaligned, "(3,0,0)", 32, 512});
}

TEST(ptx_faults, use_after_free) {
    in_every_order([] {
        uint32_t* p = nullptr;
        ASSERT_EQ(cudaMalloc(&p, 128), cudaSuccess);
        ASSERT_EQ(cudaFree(p), cudaSuccess);
        const Outcome o =
            OneKernel(".param .u64 out", std::string(prelude) + "ld.global.u32 %r1, [%at];\n").launch(1, 1, 0, p);
        EXPECT_EQ(int(o.error), illegal);
        expect_says(o.said, {"k, block (0,0,0), thread (0,0,0): ld.global.u32", "freed", "k.cu:9"});
    });
}

TEST(ptx_faults, lanes_that_do_not_meet) {
    const std::string some = "setp.lt.u32 %p1, %t, 7;\n";
    for (const char* i :
         {"bar.sync 0;", "barrier.sync.aligned 0;", "ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r1}, [0];"})
        expect_caught(
            {some + "@!%p1 bra OTHER;\n" + i + " //!\nret;\nOTHER:\nbar.warp.sync -1;\n", deadlock, wrong, ""});
    expect_caught({some + "@%p1 bar.warp.sync -1; //!\n@!%p1 bar.sync 0;\n", deadlock, wrong, ""});
    expect_caught({some + "@%p1 shfl.sync.idx.b32 %r1, %t, 0, 31, -1; //!\n@!%p1 bar.sync 0;\n", deadlock, wrong, ""});
    expect_caught({some + "@%p1 bar.sync 0; //!\n@!%p1 bar.sync 1;\n", deadlock, wrong, ""});
    // Threads of another warp that skip a barrier, and wait at another one for ever.
    expect_caught({"setp.lt.u32 %p1, %t, 32;\n@%p1 bra LOW;\nbar.sync 1;\nret;\nLOW:\nbar.sync 0; //!\n",
                   "(barrier 0, 32 of 64 threads)", wrong, "", 64});
}

TEST(ptx_faults, masks) {
    expect_caught({"setp.eq.u32 %p1, %t, 3;\nselp.b32 %r1, 0xffff0000, 0xfffffff7, %p1;\nbar.warp.sync %r1; //!\n",
                   "the lane is not in its own mask", wrong});
    expect_caught(
        {"setp.lt.u32 %p1, %t, 4;\n@!%p1 exit;\nadd.u32 %r1, %t, 1;\nshfl.sync.idx.b32 %r2, %t, %r1, 31, 0xf; //!\n",
         "lane 3 reads lane 4, which is not in the mask", wrong});
    expect_caught(
        {"setp.lt.u32 %p1, %t, 4;\n@!%p1 exit;\nadd.u32 %r1, %t, 1;\nshfl.sync.idx.b32 %r2, %t, %r1, 31, -1; //!\n",
         "lane 3 reads lane 4, which has exited", wrong});
}

TEST(ptx_faults, barriers) {
    expect_caught({"bar.sync 1, 33; //!\n", "33 is no multiple of 32 within the block", wrong, "", 64});
    expect_caught({"bar.sync 1, 96; //!\n", "96 is no multiple of 32 within the block", wrong, "", 64});
    expect_caught({"mov.u32 %r1, 16;\nbar.sync %r1, 32; //!\n", "there is no barrier 16", wrong, ""});
    expect_caught({"setp.lt.u32 %p1, %t, 3;\nselp.b32 %r1, 1, 2, %p1;\nbar.sync %r1, 32; //!\n",
                   "the lanes of a warp name different barriers", wrong, ""});
}

TEST(ptx_faults, copies_that_are_not_waited_for) {
    in_every_order([] {
        const Device<float> in({1, 2, 3, 4}), out(2);
        OneKernel(".param .u64 out, .param .u64 in", std::string(prelude) + R"(ld.param.u64 %rd1, [in];
mov.f32 %f3, 0f00000000;
st.shared.v4.f32 [0], {%f3, %f3, %f3, %f3};
cp.async.ca.shared.global [0], [%rd1], 16;
cp.async.commit_group;
ld.shared.f32 %f1, [4];
cp.async.wait_group 0;
ld.shared.f32 %f2, [4];
st.global.v2.f32 [%out], {%f1, %f2};
)")
            .must(1, 1, 16, out, in);
        EXPECT_NE(out.get()[0], out.get()[0]);
        EXPECT_EQ(out.get()[1], 2);
    });
}

TEST(ptx_faults, launches_beyond_what_a_kernel_allows) {
    const Device<uint32_t> out(32);
    const OneKernel k(".param .u64 out", "ret;\n", "", ".maxntid 64, 1, 1"),
        large(".param .u64 out", ".shared .b8 s[40000];\nst.shared.u8 [s], 1;\n");
    EXPECT_EQ(k.launch(1, 65, 0, out).error, cudaErrorInvalidValue);
    EXPECT_EQ(k.launch(1, 64, 0, out).error, cudaSuccess);
    EXPECT_EQ(k.launch(1, 64, 228 * 1024, out).error, cudaErrorInvalidValue);
    EXPECT_EQ(large.launch(1, 32, 9153, out).error, cudaErrorInvalidValue);
    EXPECT_EQ(large.launch(1, 32, 9152, out).error, cudaSuccess);
    EXPECT_EQ(k.launch(dim3(1, 65536), 32, 0, out).error, cudaErrorInvalidConfiguration);
}

// ---- What the machine does not know ----

TEST(ptx_faults, texts_that_cannot_be_run) {
    const std::string at = prelude;
    expect_says(refusal(at + "add.u33 %r1, %r1, 1;\n"), {"k: ", "does not know the instruction add.u33", "k.cu:9"});
    expect_says(refusal(at + "tex.1d.v4.f32.s32 {%f1, %f2, %f3, %f4}, [x, {%r1}];\n"),
                {"does not know the instruction tex.1d.v4.f32.s32", "k.cu:9"});
    expect_says(refusal(at + "ld.global.foo.u32 %r1, [%at];\n"),
                {"does not know the instruction ld.global.foo.u32", "k.cu:9"});
    expect_says(refusal(at + "atom.global.add.noftz.f16x2 %r1, [%at], %r2;\n"),
                {"does not know the instruction atom.global.add.noftz.f16x2", "k.cu:9"});
    expect_says(refusal(at + "cvt.sat.u8.s32 %r1, %r2;\n"), {"does not know the instruction cvt.sat.u8.s32", "k.cu:9"});
    expect_says(refusal(at + "add.u32 %r1, %r1;\n"), {"add.u32 has 2 operands instead of 3", "k.cu:9"});
    expect_says(refusal(at + "add.u32 %r1, %rd1, 1;\n"), {"register of another width", "k.cu:9"});
    expect_says(refusal(at + "ld.global.u64 %r1, [%at];\n"), {"registers of another width", "k.cu:9"});
    expect_says(refusal(at + "add.u32 %r1, %r99, 1;\n"), {"k: add.u32: unknown register %r99; k.cu:9"});
    expect_says(refusal(at + "@%p99 add.u32 %r1, %r1, 1;\n"), {"test.ptx, line ", "an unknown register: %p99"});
    expect_says(refusal(at + "bra NOWHERE;\n"), {"test.ptx, k: no label NOWHERE; k.cu:9"});
    expect_says(refusal(at + ".branchtargets A, B;\n"),
                {"test.ptx, line ", "a directive that this machine does not know: .branchtargets"});
    expect_says(refusal(at, "", ".reqnctaperplanet 2, 1, 1"),
                {"test.ptx, line ", "an entry's directive that this machine does not know: .reqnctaperplanet"});
    expect_says(refusal(at + "add.u32 %r1, %r1, 1\n"), {"test.ptx, line ", "expected ',' or ';'"});
    expect_says(refusal(at, ".func f() { ret; }\n"), {"it has functions that are called"});
    expect_says(refusal(at + "mov.u64 %rd1, missing;\n"), {"k: mov.u64: unknown symbol missing; k.cu:9"});
}

}  // namespace ptx
