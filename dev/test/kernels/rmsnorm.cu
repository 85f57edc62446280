// Checks kernels/rmsnorm.cuh.      ./test_gpt --gtest_filter='rmsnorm*'
#include "harness.h"
#include "kernels/rmsnorm.cuh"

namespace {

template <class T>
void check_rmsnorm(int N, int C) {
    Case<T> c("rmsnorm", {{"N", N}, {"C", C}});
    const size_t n = size_t(N) * C;
    auto inp = c.template random<T>("inp", n), weight = c.template random<T>("weight", C),
         d_out = c.template random<T>("d_out", n);
    auto out = c.template fresh<T>("out", n);
    auto rstd = c.template fresh<float>("rstd", N);
    c.run([&](auto on) { rmsnorm_forward(out(on), rstd(on), inp(on), weight(on), 1e-5f, N, C, on); });
    c.expect(out, C);
    c.expect(rstd, C);

    c.share(rstd);
    auto d_inp = c.template random<T>("d_inp", n);  // backward adds to both
    auto d_weight = c.template random<float>("d_weight", C);
    c.run([&](auto on) {
        rmsnorm_backward(d_inp(on), d_weight(on), d_out(on), inp(on), weight(on), rstd(on), N, C, on);
    });
    c.expect(d_inp, C);
    c.expect(d_weight, N);
}

TEST(rmsnorm, kernels) {
    for (auto [N, C] : std::vector<std::pair<int, int>>{
             {1, 1}, {1, 8}, {7, 72}, {33, 257}, {300, 40}, {37, 768}, {3, 1600}, {2, 3001}, {2, 12288}}) {
        check_rmsnorm<float>(N, C);
        check_rmsnorm<bf16>(N, C);
    }
}

TEST(rmsnorm, limit) {
    const Gpu<bf16> on;
    bf16* none = nullptr;
    EXPECT_THROW(rmsnorm_forward(none, static_cast<float*>(nullptr), none, none, 1e-5f, 1, 12296, on), Error);
}

}  // namespace
