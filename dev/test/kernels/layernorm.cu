// Checks kernels/layernorm.cuh.      ./test_gpt --gtest_filter='layernorm*'
#include "harness.h"
#include "kernels/layernorm.cuh"

namespace {

enum class Bias { yes, no };

template <class T>
void check_layernorm(int N, int C, Bias has, Into into = Into::add) {
    Case<T> c("layernorm", {{"N", N}, {"C", C}, {"bias", has == Bias::yes}, {"into", long(into)}});
    c.gpu.into = c.cpu.into = into;
    const size_t n = size_t(N) * C;
    auto inp = c.template random<T>("inp", n), weight = c.template random<T>("weight", C),
         bias = c.template random<T>("bias", C);
    auto out = c.template fresh<T>("out", n);
    auto mean = c.template fresh<float>("mean", N), rstd = c.template fresh<float>("rstd", N);
    c.run([&](auto on) {
        layernorm_forward(out(on), mean(on), rstd(on), inp(on), weight(on), has == Bias::yes ? bias(on) : nullptr,
                          1e-5f, N, C, on);
    });
    c.expect(out, C);
    c.expect(mean, C);
    c.expect(rstd, C);

    c.share(mean);
    c.share(rstd);
    // Backward adds to all four, or but for d_inp assigns.
    auto d_out = c.template random<T>("d_out", n), d_inp = c.template random<T>("d_inp", n);
    auto d_weight = c.template random<float>("d_weight", C), d_bias = c.template random<float>("d_bias", C),
         d_inp_bias = c.template random<float>("d_inp_bias", C);
    c.run([&](auto on) {
        const auto of = [=](auto bias) { return has == Bias::yes ? bias : nullptr; };
        layernorm_backward(d_inp(on), d_weight(on), of(d_bias(on)), of(d_inp_bias(on)), d_out(on), inp(on), weight(on),
                           mean(on), rstd(on), N, C, on);
    });
    c.expect(d_inp, C);
    c.expect(d_weight, N);
    c.expect(d_bias, N);
    c.expect(d_inp_bias, N);
}

TEST(layernorm, kernels) {
    for (auto [N, C] : std::vector<std::pair<int, int>>{
             {1, 8}, {7, 72}, {33, 257}, {300, 40}, {37, 768}, {3, 1600}, {2, 3001}, {2, 12288}}) {
        check_layernorm<float>(N, C, Bias::yes);
        check_layernorm<bf16>(N, C, Bias::no);
        check_layernorm<bf16>(N, C, Bias::yes);
    }
    check_layernorm<float>(33, 257, Bias::yes, Into::assign);
    check_layernorm<bf16>(37, 768, Bias::yes, Into::assign);
}

TEST(layernorm, limit) {
    const Gpu<bf16> on;
    bf16* none = nullptr;
    float* stat = nullptr;
    EXPECT_THROW(layernorm_forward(none, stat, stat, none, none, none, 1e-5f, 1, 12296, on), Error);
}

}  // namespace
