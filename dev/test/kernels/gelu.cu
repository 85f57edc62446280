// Checks kernels/gelu.cuh.      ./test_gpt --gtest_filter='gelu*'
#include "elementwise.h"
#include "kernels/gelu.cuh"

namespace {

TEST(gelu, kernels) {
    check_elementwise_sizes(
        "gelu", 20, [](auto... a) { gelu_forward(a...); }, [](auto... a) { gelu_backward(a...); });
}

// Far from zero: x or 0 exactly, and no NaN on the way.
TEST(gelu, far_from_zero) {
    Case<float> c("gelu", {{"n", 4}});
    auto inp = c.values<float>("inp", {-1e4f, 1e4f, -30, 30}), d_out = c.fill<float>("d_out", 4, 1);
    auto out = c.fresh<float>("out", 4), d_inp = c.fresh<float>("d_inp", 4);
    c.run([&](auto on) {
        gelu_forward(out(on), inp(on), 4, on);
        gelu_backward(d_inp(on), d_out(on), inp(on), 4, on);
    });
    c.expect(out, 20);
    c.expect(d_inp, 20);
}

}  // namespace
