// Checks kernels/linear.cuh.      ./test_gpt --gtest_filter='linear*'
#include "../kernels/linear.cuh"
#include "harness.h"

namespace {

enum class Bias { yes, no };

template <class T>
void check_linear(int N, int C, int OC, Bias has) {
    Case<T> c("linear", {{"N", N}, {"C", C}, {"OC", OC}, {"bias", has == Bias::yes}});
    auto inp = c.template random<T>("inp", size_t(N) * C), weight = c.template random<T>("weight", size_t(OC) * C);
    auto bias = c.template random<T>("bias", OC), d_out = c.template random<T>("d_out", size_t(N) * OC);
    auto out = c.template fresh<T>("out", size_t(N) * OC), d_inp = c.template fresh<T>("d_inp", size_t(N) * C);
    // Added to.
    auto d_weight = c.template random<float>("d_weight", size_t(OC) * C),
         d_bias = c.template random<float>("d_bias", OC);
    c.run([&](auto on) {
        linear_forward(out(on), inp(on), weight(on), has == Bias::yes ? bias(on) : nullptr, N, C, OC, on);
        linear_backward(d_inp(on), d_weight(on), has == Bias::yes ? d_bias(on) : nullptr, d_out(on), inp(on),
                        weight(on), N, C, OC, on);
    });
    c.expect(out, C);
    c.expect(d_inp, OC);
    c.expect(d_weight, N);
    c.expect(d_bias, N);
}

TEST(linear, kernels) {
    struct Shape { int N, C, OC; Bias bias; };
    for (auto [N, C, OC, bias] : {Shape{1, 1, 1, Bias::yes},
                                  {7, 72, 40, Bias::yes},
                                  {65, 33, 129, Bias::no},
                                  {100, 64, 192, Bias::yes},
                                  {3, 256, 1024, Bias::no},
                                  {40, 768, 24, Bias::yes}}) {
        check_linear<float>(N, C, OC, bias);
        check_linear<bf16>(N, C, OC, bias);
    }
}

}  // namespace
