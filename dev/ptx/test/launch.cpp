// What nvcc's host code does when it registers and launches kernels, and what the runtime then knows of them.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <vector>
#include "dev/ptx/host_runtime.h"
#include "dev/ptx/program.h"
#include "host/base/error.h"
#include "made_fat_binary.h"

namespace ptx {
namespace {

constexpr char entry[] = R"(
.visible .entry _Z10add_kernelPjj(
    .param .u64 _Z10add_kernelPjj_param_0,
    .param .u32 _Z10add_kernelPjj_param_1
)
.maxntid 64, 1, 1
{
    .reg .b32 %r<4>;
    .reg .b64 %rd<3>;
    .shared .align 4 .b8 buffer[128];
    ld.param.u64 %rd1, [_Z10add_kernelPjj_param_0];
    ld.param.u32 %r1, [_Z10add_kernelPjj_param_1];
    cvta.to.global.u64 %rd2, %rd1;
    ld.global.u32 %r2, [%rd2];
    add.u32 %r3, %r1, %r2;
    st.global.u32 [%rd2], %r3;
    ret;
}
)";
const char add_kernel = 0, unknown_kernel = 0, without_ptx = 0;  // their addresses are what hosts know kernels by
char variable = 0;

// Objects stay registered for as long as the program runs.
void register_once() {
    static const bool once = [] {
        static MadeFatBinary object, other("other.cu");
        object.add_ptx(target(), entry);
        other.add(2, 90,
                  "\x7f"
                  "ELF");
        void** const handle = __cudaRegisterFatBinary(const_cast<void*>(object.wrapper()));
        __cudaRegisterFunction(handle, &add_kernel, nullptr, "_Z10add_kernelPjj", -1, nullptr, nullptr, nullptr,
                               nullptr, nullptr);
        __cudaRegisterVar(handle, &variable, nullptr, "factor", 0, 4, 1, 0);
        __cudaRegisterFatBinaryEnd(handle);
        __cudaRegisterFunction(__cudaRegisterFatBinary(const_cast<void*>(other.wrapper())), &without_ptx, nullptr,
                               "_Z5otherv", -1, nullptr, nullptr, nullptr, nullptr, nullptr);
        return true;
    }();
    (void)once;
}

struct Launching : testing::Test {
    Launching() {
        register_once();
        EXPECT_EQ(cudaMalloc(&sum, sizeof *sum), cudaSuccess);
        EXPECT_EQ(cudaMemset(sum, 0, sizeof *sum), cudaSuccess);
    }
    ~Launching() override { cudaFree(sum); }
    uint32_t get() const {
        uint32_t value = 0;
        EXPECT_EQ(cudaMemcpy(&value, sum, sizeof value, cudaMemcpyDeviceToHost), cudaSuccess);
        return value;
    }
    uint32_t* sum = nullptr;
    uint32_t x = 5;
    void* arguments[2] = {&sum, &x};
};
using ptx_launch = Launching;

}  // namespace

TEST_F(ptx_launch, every_way) {
    cudaLaunchConfig_t config{1, 1, 0, nullptr, nullptr, 0};
    EXPECT_EQ(cudaLaunchKernelExC(&config, &add_kernel, arguments), cudaSuccess);
    x = 70;  // the launch has a copy
    EXPECT_EQ(get(), 5u);
    EXPECT_EQ(cudaLaunchKernel(&add_kernel, 1, 1, arguments, 0, nullptr), cudaSuccess);
    EXPECT_EQ(get(), 75u);
    x = 300;
    const void* handle = nullptr;
    EXPECT_EQ(__cudaGetKernel(&handle, &add_kernel), cudaSuccess);
    EXPECT_EQ(__cudaLaunchKernel(handle, 1, 1, arguments, 0, nullptr), cudaSuccess);
    EXPECT_EQ(get(), 375u);
}

TEST_F(ptx_launch, what_is_between_the_brackets) {
    cudaStream_t stream = nullptr, got = nullptr;
    ASSERT_EQ(cudaStreamCreate(&stream), cudaSuccess);
    dim3 grid, block;
    size_t bytes = 0;
    EXPECT_EQ(__cudaPushCallConfiguration(dim3(2, 3, 4), dim3(5, 6, 7), 8, stream), 0u);
    EXPECT_EQ(__cudaPopCallConfiguration(&grid, &block, &bytes, &got), cudaSuccess);
    EXPECT_EQ(std::vector({grid.x, grid.y, grid.z, block.x, block.y, block.z}), std::vector({2u, 3u, 4u, 5u, 6u, 7u}));
    EXPECT_EQ(bytes, 8u);
    EXPECT_EQ(got, stream);
    EXPECT_EQ(__cudaPopCallConfiguration(&grid, &block, &bytes, &got), cudaErrorInvalidConfiguration);
    cudaGetLastError();
    cudaStreamDestroy(stream);
}

TEST_F(ptx_launch, what_is_known_of_a_kernel) {
    cudaFuncAttributes attributes;
    EXPECT_EQ(cudaFuncGetAttributes(&attributes, &add_kernel), cudaSuccess);
    EXPECT_EQ(attributes.sharedSizeBytes, 128u);
    EXPECT_EQ(attributes.maxThreadsPerBlock, 64);
    EXPECT_EQ(attributes.ptxVersion, std::atoi(target().c_str()));
    const char* name = nullptr;
    EXPECT_EQ(cudaFuncGetName(&name, &add_kernel), cudaSuccess);
    EXPECT_STREQ(name, "_Z10add_kernelPjj");
    EXPECT_EQ(cudaLaunchKernel(&add_kernel, 1, 65, arguments, 0, nullptr), cudaErrorInvalidValue);
    EXPECT_EQ(cudaLaunchKernel(&add_kernel, 1, 64, arguments, 48 * 1024 - 127, nullptr), cudaErrorInvalidValue);
    EXPECT_EQ(cudaFuncGetName(&name, &unknown_kernel), cudaErrorInvalidDeviceFunction);
    EXPECT_EQ(cudaLaunchKernel(&unknown_kernel, 1, 1, arguments, 0, nullptr), cudaErrorInvalidDeviceFunction);
    EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidDeviceFunction);
}

TEST_F(ptx_launch, the_device_is_that_of_the_target) {
    cudaDeviceProp properties{};
    ASSERT_EQ(cudaGetDeviceProperties(&properties, 0), cudaSuccess);
    EXPECT_STREQ(properties.name, "ptx (CPU)");
    int major = 0, shared = 0;
    EXPECT_EQ(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0), cudaSuccess);
    EXPECT_EQ(cudaDeviceGetAttribute(&shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0), cudaSuccess);
    EXPECT_EQ(major, std::atoi(target().c_str()) / 10);
    EXPECT_EQ(shared, (major == 8 ? 163 : 227) * 1024);
}

TEST_F(ptx_launch, without_ptx_or_by_a_variable) {
    try {
        cudaLaunchKernel(&without_ptx, 1, 1, arguments, 0, nullptr);
        FAIL() << "launched machine code";
    } catch (const Error& error) {
        EXPECT_EQ(error.code, Exit::device);
        EXPECT_NE(std::strstr(error.what(), "PTX of other.cu: there is none beside the machine code; compile with"),
                  nullptr);
    }
    try {
        cudaMemcpyToSymbol(&variable, &x, 4, 0, cudaMemcpyHostToDevice);
        FAIL() << "wrote a variable";
    } catch (const Error& error) {
        EXPECT_NE(std::strstr(error.what(), "device variable factor: "), nullptr) << error.what();
    }
}

// Before anything is done, so that a refused training leaves nothing behind.
TEST(ptx_program, without_ptx_for_the_target) {
    const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
    FILE* const pipe = popen(("PTX_TARGET=75 '" + self + "' --gpu 2>&1").c_str(), "r");
    std::string said;
    for (char text[4096]; std::fgets(text, sizeof text, pipe);) said += text;
    EXPECT_EQ(WEXITSTATUS(pclose(pipe)), int(Exit::device));
    EXPECT_TRUE(said.starts_with("error: PTX of ")) << said;
    EXPECT_NE(said.find(", none for sm_75; compile with nvcc -gencode arch=compute_75,code=compute_75 --no-compress"),
              std::string::npos)
        << said;
    EXPECT_EQ(said.find('\n'), said.size() - 1) << said;
}

}  // namespace ptx
