// Checks kernels/cross_entropy_fused.cuh.      ./test_gpt --gtest_filter='cross_entropy_fused*'
#include "harness.h"
#include "kernels/cross_entropy_fused.cuh"

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
    struct Shape {
        int N, V, P;
    };
    // Rows of 12288 floats and of 24576 bf16 take 48 KiB beside the kernel's own;
    // the last is longer than shared memory.
    const std::vector<Shape> shapes = {{1, 1, 1},         {3, 8, 8},         {9, 65, 128},      {5, 257, 259},
                                       {2, 12200, 12288}, {2, 24500, 24576}, {2, 50257, 50304}, {2, 123000, 123008}};
    for (auto [N, V, P] : shapes) {
        check_cross_entropy_fused<float>(N, V, P);
        check_cross_entropy_fused<bf16>(N, V, P);
    }
}

// A thread that sees nothing but NaN must not hide it from the others' sum.
template <class T>
void check_nan(int V) {
    const Gpu<T> on;
    std::vector<T> row(V, T(1.0f));
    for (int v = 8; v < 16; v++) row[v] = T(NAN);
    const float one = 1;
    const int target = 0;
    T* logits = on.template allocate<T>(V);
    float *loss = on.template allocate<float>(1), *lse = on.template allocate<float>(1),
          *d_loss = on.template allocate<float>(1);
    int* wanted = on.template allocate<int>(1);
    on.upload(logits, row.data(), V), on.upload(d_loss, &one, 1), on.upload(wanted, &target, 1);
    float got[2];
    cross_entropy_forward(loss, lse, logits, wanted, 1, V, V, on);
    on.download(&got[0], loss, 1);
    cross_entropy_fused(loss, lse, logits, d_loss, wanted, 1, V, V, on);
    on.download(&got[1], loss, 1);
    EXPECT_TRUE(std::isnan(got[0]) && std::isnan(got[1])) << V << ": " << got[0] << ' ' << got[1];
}

TEST(cross_entropy_fused, nan_shows) {
    for (int V : {64, 67}) {
        check_nan<float>(V);
        check_nan<bf16>(V);
    }
}

}  // namespace
