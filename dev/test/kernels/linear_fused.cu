// Checks kernels/linear_fused.cuh.      ./test_gpt --gtest_filter='linear_fused*'
#include "harness.h"
#include "kernels/linear_fused.cuh"

namespace {

struct Shape {
    int N, C, OC;
};
enum class Bias { yes, no };
// The last has enough tiles for Hopper's kernels on the CPU.
const Shape shapes[] = {{1, 8, 8},    {7, 33, 20},  {130, 40, 72}, {65, 64, 264},
                        {3, 520, 24}, {16, 64, 40}, {450, 72, 200}};

template <class T>
void check_forward(const Shape& s, Bias has, Products by) {
    const int N = s.N, C = s.C, OC = s.OC;
    Case<T> c("linear_fused", {{"N", N}, {"C", C}, {"OC", OC}, {"bias", has == Bias::yes}, {"by", long(by)}});
    c.multiply_by(by);
    const size_t n = size_t(N) * OC;
    auto inp = c.template random<T>("inp", size_t(N) * C), weight = c.template random<T>("weight", size_t(2) * OC * C);
    auto bias = c.template random<T>("bias", size_t(2) * OC);
    auto before = c.template fresh<T>("before", n), gelu = c.template fresh<T>("gelu", n);
    auto gate_up = c.template fresh<T>("gate_up", 2 * n), swiglu = c.template fresh<T>("swiglu", n);
    c.run([&](auto on) {
        const auto* b = has == Bias::yes ? bias(on) : nullptr;
        linear_gelu_forward(gelu(on), before(on), inp(on), weight(on), b, N, C, OC, on);
        linear_swiglu_forward(swiglu(on), gate_up(on), inp(on), weight(on), b, N, C, OC, on);
    });
    c.expect(before, C);
    c.expect(gelu, C, {1});
    c.expect(gate_up, C);
    c.expect(swiglu, C, {2});
}

template <class T>
void check_backward(const Shape& s, Bias has, Products by) {
    const int N = s.N, C = s.C, OC = s.OC;
    Case<T> c("linear_fused backward", {{"N", N}, {"C", C}, {"OC", OC}, {"bias", has == Bias::yes}, {"by", long(by)}});
    c.multiply_by(by);
    const size_t n = size_t(N) * C;
    auto inp = c.template random<T>("inp", n), weight = c.template random<T>("weight", size_t(OC) * C);
    auto before = c.template random<T>("before", 2 * n), d_out = c.template random<T>("d_out", size_t(N) * OC);
    auto d_weight = c.template random<float>("d_weight", size_t(OC) * C),
         d_bias = c.template random<float>("d_bias", OC), d_before_bias = c.template random<float>("d_before_bias", C);
    auto d_before = c.template fresh<T>("d_before", n), d_gate_up = c.template fresh<T>("d_gate_up", 2 * n);
    c.run([&](auto on) {
        const bool has_bias = has == Bias::yes;
        auto *b = has_bias ? d_bias(on) : nullptr, *b_before = has_bias ? d_before_bias(on) : nullptr;
        gelu_linear_backward(d_before(on), d_weight(on), b, b_before, d_out(on), inp(on), before(on), weight(on), N, C,
                             OC, on);
        swiglu_linear_backward(d_gate_up(on), d_weight(on), b, d_out(on), inp(on), before(on), weight(on), N, C, OC,
                               on);
    });
    c.expect(d_before, OC, {1});
    c.expect(d_gate_up, OC, {1});
    c.expect(d_weight, 2 * N);
    c.expect(d_bias, 2 * N);
    c.expect(d_before_bias, N, {4});  // of d_before, rounded up to twice, each by as much as two factors
}

TEST(linear_fused, kernels) {
    for (const Shape& s : shapes)
        for (const Products by : products())
            for (const Bias bias : {Bias::yes, Bias::no}) {
                check_forward<float>(s, bias, by);
                check_forward<bf16>(s, bias, by);
                check_backward<float>(s, bias, by);
                check_backward<bf16>(s, bias, by);
            }
}

}  // namespace
