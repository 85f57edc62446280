// Checks kernels/cross_entropy_fused.cuh.      ./test_gpt --gtest_filter='cross_entropy_fused*'
#include "../kernels/cross_entropy_fused.cuh"
#include "harness.h"

namespace {

template <class T>
void check_cross_entropy_fused(int N, int V, int P) {
    Case<T> c("cross_entropy_fused", {{"N", N}, {"V", V}, {"P", P}});
    auto logits = c.template random<T>("logits", size_t(N) * P, 3);
    std::vector<int> targets(N, V - 1);
    if (N > 1) targets[N / 2] = ignored_target, targets[0] = 0;
    auto target = c.values("target", targets);
    auto loss = c.template fresh<float>("loss", N), lse = c.template fresh<float>("lse", N);
    auto d_loss = c.template fill<float>("d_loss", 1, 0.25);
    c.run([&](auto on) { cross_entropy_fused(loss(on), lse(on), logits(on), d_loss(on), target(on), N, V, P, on); });
    c.expect(loss, V);
    c.expect(lse, V);
    c.expect(logits, V);
}

TEST(cross_entropy_fused, kernels) {
    struct Shape { int N, V, P; };
    // The last is longer than shared memory.
    for (auto [N, V, P] :
         {Shape{1, 1, 1}, {3, 8, 8}, {9, 65, 128}, {5, 257, 259}, {2, 50257, 50304}, {2, 123000, 123008}}) {
        check_cross_entropy_fused<float>(N, V, P);
        check_cross_entropy_fused<bf16>(N, V, P);
    }
}

}  // namespace
