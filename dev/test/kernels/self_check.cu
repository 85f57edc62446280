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
    using enum Kernels;
    const std::pair<const char*, std::vector<Kernels>> cases[] = {
        {"linear_few_kernel", {linear_few}},
        {"attention_hopper_forward_kernel", {attention_hopper_forward}},
        {"attention_tensor_forward_kernel", {attention_forward}},
        {"attention_hopper_backward_kernel", {attention_hopper_backward}},
        {"attention_tensor_key_kernel", {attention_backward}},
        {"attention_tensor_query_kernel", {attention_backward}},
        {"attention_decode_kernel", {attention_decode}},
        {"LinearSwigluGradient", {linear_hopper, linear_fused}},
        {"LinearSum", {linear_hopper, linear_tensor}},  // all finite: only the bound tells
        {"LinearSumAndRows", {linear_hopper}},
        {", LinearSum>", {linear_hopper, linear_tensor}},
        {"linear_hopper_kernel", {linear_hopper}},
        {"linear_tensor_kernel", {linear_tensor}}};
    for (const auto& [name, kernels] : cases) {
        const simt::Broken broken(name);
        const std::vector<KernelFault> faults = SelfCheck<bf16>(Gemm::native).run();
        std::vector<Kernels> found;
        for (const KernelFault& fault : faults) found.push_back(fault.kernels);
        EXPECT_TRUE(found == kernels) << name << "\n" << listed(faults);
    }
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
