// Reads of global and local memory that nobody wrote, and of what ld.global.nc may not see.
#include "program.h"

namespace ptx {
namespace {

// A kernel after the prelude, with a buffer `in` of 64 words that the host has not written. The line "//1" is named.
void expect(const std::string& body, const std::string& what, bool fresh = true) {
    SCOPED_TRACE(body);
    in_every_order([&] {
        const Device<uint32_t> out(std::vector<uint32_t>(64));
        uint32_t* in = nullptr;
        ASSERT_EQ(cudaMalloc(&in, 256), cudaSuccess);
        if (!fresh) { EXPECT_EQ(cudaMemset(in, 1, 256), cudaSuccess); }
        const std::string all = prelude + ("ld.param.u64 %rd1, [in];\nmad.wide.u32 %rd2, %t, 4, %rd1;\n" + body);
        const Outcome o = OneKernel(".param .u64 out, .param .u64 in", all).launch(1, 32, 256, out, in);
        EXPECT_EQ(o.error, what.empty() ? cudaSuccess : cudaErrorLaunchFailure) << o.said;
        if (!what.empty()) expect_says(o.said, {what, "k.cu:" + std::to_string(line_of(all, "//1"))});
        cudaFree(in);
    });
}
constexpr char unwritten[] = "reads global memory that nobody has written: byte ";

}  // namespace

TEST(ptx_unwritten, global_memory) {
    expect("ld.global.u32 %r1, [%rd2]; //1\n", unwritten);
    expect("ld.u32 %r1, [%rd2]; //1\n", unwritten);
    expect("ld.global.nc.v4.u32 {%r1, %r2, %r3, %r4}, [%rd1]; //1\n", unwritten);
    expect("atom.global.add.u32 %r1, [%rd2], 1; //1\n", unwritten);
    expect("ld.volatile.global.u32 %r1, [%rd2]; //1\n", unwritten);
    expect("cp.async.ca.shared.global [0], [%rd1], 16; //1\n", unwritten);
    // One byte of four is missing.
    expect("mov.u16 %h1, 1;\nst.global.u16 [%rd2], %h1;\nst.global.u8 [%rd2+2], %h1;\nld.global.u32 %r1, [%rd2]; //1\n",
           unwritten);
    expect("mov.u16 %h1, 1;\nst.global.u16 [%rd2], %h1;\nst.global.u16 [%rd2+2], %h1;\nld.global.u32 %r1, [%rd2];\n",
           "");
    expect("st.global.u32 [%rd2], %t;\nld.global.u32 %r1, [%rd2];\n", "");
    expect("ld.global.u32 %r1, [%rd2];\n", "", false);
    expect("atom.global.exch.b32 %r1, [%rd2], 1;\nld.global.u32 %r1, [%rd2];\n", "", false);
}

TEST(ptx_unwritten, what_the_host_has_written_is_written) {
    for (const size_t from : {0, 4, 12})  // copies may begin and end anywhere
        for (const size_t bytes : {4, 100, 200}) {
            unsigned char* in = nullptr;
            ASSERT_EQ(cudaMalloc(&in, 256), cudaSuccess);
            const std::vector<char> values(256);
            ASSERT_EQ(cudaMemcpy(in + from, values.data(), bytes, cudaMemcpyHostToDevice), cudaSuccess);
            const Device<uint32_t> out(std::vector<uint32_t>(64));
            const OneKernel k(".param .u64 out, .param .u64 in",
                              prelude + std::string("ld.param.u64 %rd1, [in];\nld.global.u32 %r1, [%rd1];\n"));
            const auto error = [&](size_t at) { return k.launch(1, 1, 0, out, in + at).error; };
            EXPECT_EQ(error(from), cudaSuccess);
            EXPECT_EQ(error(from + bytes - 4), cudaSuccess);
            // After an error the device is as new, with other buffers.
            EXPECT_EQ(error(from + bytes), cudaErrorLaunchFailure) << from << ' ' << bytes;
        }
    uint32_t* pinned = nullptr;
    ASSERT_EQ(cudaMallocHost(&pinned, 256), cudaSuccess);
    OneKernel(".param .u64 out", std::string(prelude) + "ld.global.u32 %r1, [%at];\n").must(1, 32, 0, pinned);
    cudaFreeHost(pinned);
}

TEST(ptx_unwritten, local_memory) {
    const std::string local = ".local .align 16 .b8 l[64];\nmov.u64 %rd3, l;\ncvta.local.u64 %rd4, %rd3;\n";
    const std::string what = "reads local memory that nobody has written";
    expect(local + "ld.local.u32 %r1, [l+4]; //1\n", what);
    expect(local + "st.local.u32 [l], %t;\nld.local.v2.u32 {%r1, %r2}, [l]; //1\n", what);
    expect(local + "ld.u32 %r1, [%rd4]; //1\n", what);
    expect(local + "setp.ne.u32 %p1, %t, 9;\n@%p1 st.local.u32 [l], %t;\nld.local.u32 %r1, [l]; //1\n", what);
    expect(local + "st.local.u32 [l], %t;\nld.u32 %r1, [%rd4];\nst.u32 [%rd4+4], %t;\nld.local.u32 %r1, [l+4];\n", "");
}

TEST(ptx_unwritten, constants_of_a_grid) {
    expect("st.global.u32 [%rd2], %t;\nld.global.nc.u32 %r1, [%rd2]; //1\n",
           "reads what st.global.u32 at k.cu:", false);
    expect("ld.global.nc.u32 %r1, [%rd2];\nst.global.u32 [%rd2], %t; //1\n",
           "writes what ld.global.nc.u32 at k.cu:", false);
    expect("ld.global.u32 %r1, [%rd2];\nst.global.u32 [%rd2], %t;\nld.global.u32 %r1, [%rd2];\n", "", false);
    expect("ld.global.nc.u32 %r1, [%rd2];\nst.global.u32 [%rd2+128], %t;\n", "", false);
    // What another grid wrote is constant for this one.
    const Device<uint32_t> out(std::vector<uint32_t>(64));
    const OneKernel writes(".param .u64 out", prelude + std::string("st.global.u32 [%at], %t;\n")),
        reads(".param .u64 out", prelude + std::string("ld.global.nc.u32 %r1, [%at];\n"));
    for (int k = 0; k < 2; k++) writes.must(1, 32, 0, out), reads.must(1, 32, 0, out);
}

}  // namespace ptx
