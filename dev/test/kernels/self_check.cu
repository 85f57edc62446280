// The start-up check of a GPU's kernels.      ./test_gpt --gtest_filter='self_check*'
#include <gtest/gtest.h>
#include "kernels/self_check.cuh"
#if __has_include(<simt/simt.h>)
#include "dev/simt/broken.h"
#include "dev/test/support/expect_error.h"
#endif

namespace {

std::string listed(const std::vector<KernelFault>& faults) {
    std::string all;
    for (const KernelFault& fault : faults) all += std::string(name_of(fault.kernels)) + ": " + fault.text + "\n";
    return all;
}

TEST(self_check, finds_nothing_wrong_with_kernels_that_are_right) {
    const Gemm gemm = installed_cublas().table ? Gemm::cublas : Gemm::native;
    EXPECT_EQ(listed(SelfCheck<bf16>(gemm).run()), "");
    EXPECT_EQ(listed(SelfCheck<float>(gemm).run()), "");
}

#if __has_include(<simt/simt.h>)
// A GPU that leaves out a block of one kernel: that is found, named with what takes its place, and nothing else is.
TEST(self_check, names_the_kernels_that_are_wrong) {
    const std::pair<const char*, Kernels> cases[] = {
        {"linear_few_kernel", Kernels::linear_few},
        {"attention_hopper_forward_kernel", Kernels::attention_hopper_forward},
        {"attention_tensor_forward_kernel", Kernels::attention_forward},
        {"attention_tensor_key_kernel", Kernels::attention_backward},
        {"attention_tensor_query_kernel", Kernels::attention_backward},
        {"attention_decode_kernel", Kernels::attention_decode},
        {"LinearSwigluGradient", Kernels::linear_fused},
        {"LinearSum", Kernels::linear_tensor}};  // all finite: only the bound tells
    for (const auto& [name, kernels] : cases) {
        const simt::Broken broken(name);
        const std::vector<KernelFault> faults = SelfCheck<bf16>(Gemm::native).run();
        ASSERT_EQ(faults.size(), 1u) << name << "\n" << listed(faults);
        EXPECT_EQ(faults[0].kernels, kernels) << listed(faults);
    }
    const simt::Broken broken("linear_tensor_kernel");
    const std::vector<KernelFault> faults = SelfCheck<bf16>(Gemm::native).run();
    ASSERT_EQ(faults.size(), 2u) << listed(faults);
    EXPECT_EQ(faults[0].kernels, Kernels::linear_tensor);
    EXPECT_EQ(faults[1].kernels, Kernels::linear_fused);
}

// A refused launch costs the kernel; one that breaks down takes the whole process's GPU with it.
TEST(self_check, launches_that_fail) {
    {
        const simt::Broken broken("attention_tensor_query_kernel", simt::Broken::Way::is_refused);
        const std::vector<KernelFault> faults = SelfCheck<bf16>(Gemm::native).run();
        ASSERT_EQ(faults.size(), 1u) << listed(faults);
        EXPECT_EQ(faults[0].kernels, Kernels::attention_backward);
        EXPECT_NE(faults[0].text.find("attention_tensor_query on "), std::string::npos) << faults[0].text;
    }
    const simt::Broken broken("linear_few_kernel", simt::Broken::Way::breaks_down);
    expect_error(Exit::device, {"linear_few: broke down in the self-check: ", "--dtype fp32 --gemm native"},
                 [] { SelfCheck<bf16>(Gemm::native).run(); });
    cudaDeviceReset();
}
#endif

}  // namespace
