// Checks kernels/global_norm.cuh.      ./test_gpt --gtest_filter='global_norm*'
#include "harness.h"
#include "kernels/global_norm.cuh"

namespace {

void check_global_norm(size_t n) {
    Case<float> c("global_norm", {{"n", long(n)}});
    auto x = c.random<float>("x", n), norm = c.fresh<float>("norm", 1);
    c.run([&](auto on) { global_norm(norm(on), x(on), n, on); });
    c.expect(norm, n);
}

TEST(global_norm, kernels) {
    for (size_t n : {1, 8, 1003, 70000, 300008}) check_global_norm(n);
}

}  // namespace
