// What a user reads when CUDA fails.      ./test_gpt --gtest_filter='cuda_error*'
#include <gtest/gtest.h>
#include "dev/test/support/expect_error.h"
#include "dev/test/support/text_search.h"
#include "kernels/tools/common.cuh"

template <int W, class T>
__global__ void cuda_error_test_kernel(T*) {}
__global__ void cuda_error_plain(int) {}
__global__ void cuda_error_own_shared(int* out) {
    __shared__ int own[1024];
    own[threadIdx.x] = int(threadIdx.x);
    if (out) *out = own[31 - threadIdx.x];
}

namespace {

void run(dim3 grid, dim3 block, size_t shared_bytes) {
    const Gpu<bf16> on;
    bf16* none = nullptr;
    launch(cuda_error_test_kernel<8, bf16>, grid, block, shared_bytes, on, none);
}
void expect_refused(dim3 grid, dim3 block, size_t shared_bytes, std::initializer_list<std::string> words) {
    expect_error(Exit::device, words, [&] { run(grid, block, shared_bytes); });
}

TEST(cuda_error, every_code_is_one_line_with_advice) {
    for (int code = 1; code < 1000; code++) {
        const std::string text = cuda_error(cudaError_t(code), "rope_forward").what();
        EXPECT_EQ(text.find('\n'), text.npos) << text;
        EXPECT_TRUE(has(text, ": ") && has(text, "; ")) << code << " " << text;
        EXPECT_FALSE(has(text, "cudaError")) << text;
    }
}

TEST(cuda_error, what_a_user_can_mend_is_said_without_the_call) {
    for (auto [code, part] :
         std::vector<std::pair<cudaError_t, const char*>>{{cudaErrorNoDevice, "none was found"},
                                                          {cudaErrorInvalidDevice, "CUDA_VISIBLE_DEVICES"},
                                                          {cudaErrorInsufficientDriver, "update the driver"},
                                                          {cudaErrorUnsupportedPtxVersion, "update the driver"},
                                                          {cudaErrorSystemDriverMismatch, "restart the machine"},
                                                          {cudaErrorDevicesUnavailable, "nvidia-smi"},
                                                          {cudaErrorMemoryAllocation, "--batch"},
                                                          {cudaErrorNoKernelImageForDevice, "build again"},
                                                          {cudaErrorECCUncorrectable, "--resume"}}) {
        const std::string text = cuda_error(code, "`cudaCall()`").what();
        EXPECT_TRUE(has(text, part)) << text;
        EXPECT_FALSE(has(text, "cudaCall")) << text;
    }
    EXPECT_TRUE(has(cuda_error(cudaErrorIllegalAddress, "rope").what(), "CUDA_LAUNCH_BLOCKING=1"));
    EXPECT_TRUE(has(cuda_error(cudaErrorIllegalAddress, "rope").what(), "rope failed"));
}

TEST(cuda_error, old_gpus) {
    EXPECT_EQ(too_old(80), "");
    EXPECT_EQ(too_old(120), "");
    EXPECT_EQ(too_old(75), "its compute capability 7.5 is below 8.0 (Ampere)");
}

TEST(cuda_error, layers_have_their_names) {
    EXPECT_EQ(layer_of(reinterpret_cast<const void*>(&cuda_error_plain)), "cuda_error_plain");
    EXPECT_TRUE(has(layer_of(reinterpret_cast<const void*>(&cuda_error_test_kernel<1, float>)), "cuda_error_test"));
    EXPECT_TRUE(has(layer_of(reinterpret_cast<const void*>(&column_sum_kernel<32>)), "column_sum"));
}

TEST(cuda_error, launches_that_no_gpu_can_do) {
    run(2, 32, 0);
    run(0, 32, 0);
    expect_refused({1, 1, 65536}, 32, 0, {"cuda_error_test: needs 65536 blocks along z, this GPU can do 65535; "});
    expect_refused({1, 65536}, 32, 0, {"blocks along y"});
    expect_refused(1, {64, 32}, 0, {"2048 threads in a block"});
    expect_refused(1, 32, 1 << 20, {"cuda_error_test: needs 1048576 bytes of shared memory"});
    const Gpu<float> on;  // a kernel's own shared memory counts
    int* const none = nullptr;
    launch(cuda_error_own_shared, 1, 32, on.shared_limit - 4096, on, none);
    on.synchronize();
    expect_error(Exit::device, {"cuda_error_own_shared: needs ", " bytes of shared memory in a block"},
                 [&] { launch(cuda_error_own_shared, 1, 32, on.shared_limit - 4095, on, none); });
}

TEST(cuda_error, a_refused_launch_names_layer_and_sizes) {
    const dim3 high(1, 1, 65);  // no more than 64 threads along z
    expect_refused(3, high, 16, {"cuda_error_test on 3 x 1 x 1 blocks of 1 x 1 x 65 threads with 16 bytes"});
    run(1, 32, 0);
}

}  // namespace
