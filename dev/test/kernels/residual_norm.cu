// Checks kernels/residual_norm.cuh.      ./test_gpt --gtest_filter='residual_norm*'
#include "harness.h"
#include "kernels/residual_norm.cuh"

namespace {

template <class T>
void check_residual_norm(int N, int C) {
    Case<T> c("residual_norm", {{"N", N}, {"C", C}});
    const size_t n = size_t(N) * C;
    // Eighths below 4: bf16 holds their sums exactly, so that rounding the sum, which the reference does not, changes
    // nothing.
    const auto eighths = [&](const char* name) {
        auto x = c.template random<T>(name, n, 1.5);
        for (size_t i = 0; i < n; i++) x.host[i] = std::clamp(std::round(x.host[i] * 8) / 8, -3.875, 3.875);
        c.share(x);
        return x;
    };
    auto inp = eighths("inp"), branch = eighths("branch");
    auto weight = c.template random<T>("weight", C), bias = c.template random<T>("bias", C);
    auto sum = c.template fresh<T>("sum", n), out = c.template fresh<T>("out", n);
    auto rms_sum = c.template fresh<T>("rms_sum", n), rms_out = c.template fresh<T>("rms_out", n);
    auto mean = c.template fresh<float>("mean", N), rstd = c.template fresh<float>("rstd", N),
         rms_rstd = c.template fresh<float>("rms_rstd", N);
    c.run([&](auto on) {
        residual_layernorm_forward(sum(on), out(on), mean(on), rstd(on), inp(on), branch(on), weight(on), bias(on),
                                   1e-5f, N, C, on);
        residual_rmsnorm_forward(rms_sum(on), rms_out(on), rms_rstd(on), inp(on), branch(on), weight(on), 1e-5f, N, C,
                                 on);
    });
    c.expect(sum, 0);
    c.expect(rms_sum, 0);
    c.expect(out, C);
    c.expect(rms_out, C);
    c.expect(mean, C);
    c.expect(rstd, C);
    c.expect(rms_rstd, C);
}

TEST(residual_norm, kernels) {
    for (auto [N, C] : std::vector<std::pair<int, int>>{{1, 8}, {7, 72}, {5, 257}, {37, 768}, {2, 12288}}) {
        check_residual_norm<float>(N, C);
        check_residual_norm<bf16>(N, C);
    }
}

}  // namespace
