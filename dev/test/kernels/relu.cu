// Checks kernels/relu.cuh.      ./test_gpt --gtest_filter='relu*'
#include "elementwise.h"
#include "kernels/relu.cuh"

namespace {

TEST(relu, kernels) {
    check_elementwise_sizes(
        "relu", 0, [](auto... a) { relu_forward(a...); }, [](auto... a) { relu_backward(a...); });
}

}  // namespace
