// Checks kernels/cross_entropy.cuh.      ./test_gpt --gtest_filter='cross_entropy.*'
#include "harness.h"
#include "kernels/cross_entropy.cuh"

namespace {

template <class T>
void check_cross_entropy(int N, int V, int P) {
    Case<T> c("cross_entropy", {{"N", N}, {"V", V}, {"P", P}});
    auto logits = c.template random<T>("logits", size_t(N) * P, 3);
    auto target = c.integers("target", N, V);
    if (N > 1)
        target = c.values("target", std::vector<int>(N, ignored_target)), target.host[0] = 0,
        target.host[N - 1] = V - 1;
    c.gpu.upload(target.device, target.host.get(), N);
    auto loss = c.template fresh<float>("loss", N), lse = c.template fresh<float>("lse", N);
    c.run([&](auto on) { cross_entropy_forward(loss(on), lse(on), logits(on), target(on), N, V, P, on); });
    c.expect(loss, V);
    c.expect(lse, V);

    c.share(lse);
    auto d_loss = c.template fill<float>("d_loss", 1, 0.25);
    auto d_logits = c.template fresh<T>("d_logits", size_t(N) * P);
    c.run([&](auto on) {
        cross_entropy_backward(d_logits(on), d_loss(on), logits(on), lse(on), target(on), N, V, P, on);
        cross_entropy_backward(logits(on), d_loss(on), logits(on), lse(on), target(on), N, V, P, on);  // in place
    });
    c.expect(d_logits, 10);
    c.expect(logits, 10);
}

TEST(cross_entropy, kernels) {
    struct Shape {
        int N, V, P;
    };
    for (auto [N, V, P] :
         std::vector<Shape>{{1, 1, 1}, {3, 8, 8}, {9, 65, 128}, {5, 257, 259}, {2, 5000, 5120}, {2, 50257, 50304}}) {
        check_cross_entropy<float>(N, V, P);
        check_cross_entropy<bf16>(N, V, P);
    }
}

}  // namespace
