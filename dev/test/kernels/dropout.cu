// Checks kernels/dropout.cuh.      ./test_gpt --gtest_filter='dropout*'
#include "harness.h"
#include "kernels/dropout.cuh"

namespace {

template <class T>
void check_dropout(int N, int C, float p) {
    Case<T> c("dropout", {{"N", N}, {"C", C}});
    const size_t n = size_t(N) * C;
    auto inp = c.template random<T>("inp", n), out = c.template fresh<T>("out", n),
         d_inp = c.template fresh<T>("d_inp", n);
    auto noise = c.values("noise", std::vector<Noise>{{0x123456789abcdef, 17, 3000000001u}});
    c.run([&](auto on) {
        dropout_forward(out(on), inp(on), {p, 5, noise(on)}, N, C, on);
        dropout_backward(d_inp(on), inp(on), {p, 6, noise(on)}, N, C, on);
    });
    c.expect(out, 2);
    c.expect(d_inp, 2);
}

TEST(dropout, kernels) {
    for (auto [N, C] : std::vector<std::pair<int, int>>{{1, 1}, {7, 72}, {33, 257}, {37, 768}, {2, 12288}})
        for (float p : {0.1f, 0.5f}) {
            check_dropout<float>(N, C, p);
            check_dropout<bf16>(N, C, p);
        }
}

}  // namespace
