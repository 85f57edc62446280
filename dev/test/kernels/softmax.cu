// Checks kernels/softmax.cuh.      ./test_gpt --gtest_filter='softmax*'
#include "harness.h"
#include "kernels/softmax.cuh"

namespace {

template <class T>
void check_softmax(int N, int V) {
    Case<T> c("softmax", {{"N", N}, {"V", V}});
    const size_t n = size_t(N) * V;
    auto inp = c.template random<T>("inp", n, 3), d_out = c.template random<T>("d_out", n);
    auto out = c.template fresh<T>("out", n), d_inp = c.template fresh<T>("d_inp", n);
    c.run([&](auto on) { softmax_forward(out(on), inp(on), N, V, on); });
    c.expect(out, V);
    c.share(out);
    c.run([&](auto on) { softmax_backward(d_inp(on), d_out(on), out(on), N, V, on); });
    c.expect(d_inp, V);
}

TEST(softmax, kernels) {
    for (auto [N, V] : std::vector<std::pair<int, int>>{{1, 1}, {3, 8}, {5, 257}, {2, 4096}, {2, 50257}}) {
        check_softmax<float>(N, V);
        check_softmax<bf16>(N, V);
    }
}

}  // namespace
