// Checks kernels/swiglu.cuh.      ./test_gpt --gtest_filter='swiglu*'
#include "harness.h"
#include "kernels/swiglu.cuh"

namespace {

template <class T>
void check_swiglu(int N, int F) {
    Case<T> c("swiglu", {{"N", N}, {"F", F}});
    const size_t n = size_t(N) * F;
    auto inp = c.template random<T>("inp", 2 * n, 3), d_out = c.template random<T>("d_out", n);
    auto out = c.template fresh<T>("out", n), d_inp = c.template fresh<T>("d_inp", 2 * n);
    c.run([&](auto on) {
        swiglu_forward(out(on), inp(on), N, F, on);
        swiglu_backward(d_inp(on), d_out(on), inp(on), N, F, on);
    });
    c.expect(out, 10);
    c.expect(d_inp, 10);
}

TEST(swiglu, kernels) {
    for (auto [N, F] : std::vector<std::pair<int, int>>{{1, 1}, {3, 8}, {7, 131}, {5, 2048}, {2, 8960}, {70000, 1}}) {
        check_swiglu<float>(N, F);
        check_swiglu<bf16>(N, F);
    }
}

}  // namespace
