// Checks kernels/linear_hopper.cuh.      ./test_gpt --gtest_filter='linear_hopper*'
#include "harness.h"
#include "kernels/linear_fused.cuh"

namespace {

using linear_hopper = OnHopper;

template <class T>
constexpr bool on_gpu = std::is_same_v<T, Gpu<bf16>>;

// C and OC are at and beyond the edges of panels and tiles.
template <class Shape>
void check_forward(int N, int C, int OC) {
    Case<bf16> c("linear_hopper forward", {{"N", N}, {"C", C}, {"OC", OC}, {"m", Shape::m}, {"n", Shape::n}});
    const size_t n = size_t(N) * OC;
    auto inp = c.random<bf16>("inp", size_t(N) * C), weight = c.random<bf16>("weight", size_t(OC) * C);
    auto bias = c.random<bf16>("bias", OC);
    auto out = c.fresh<bf16>("out", n), plain = c.fresh<bf16>("plain", n);
    c.run([&](auto on) {
        if constexpr (on_gpu<decltype(on)>) {
            const AlongK<bf16> a{inp(on), C, N}, b{weight(on), C, OC};
            const int K = round_up(C, 64);
            linear_hopper_by<Shape>(LinearOut{out(on), bias(on), OC}, a, b, C, K, on);
            linear_hopper_by<Shape>(LinearOut{plain(on), nullptr, OC}, a, b, C, K, on);
        } else {
            linear_forward(out(on), inp(on), weight(on), bias(on), N, C, OC, on);
            linear_forward(plain(on), inp(on), weight(on), static_cast<double*>(nullptr), N, C, OC, on);
        }
    });
    c.expect(out, C), c.expect(plain, C);
}

template <class Shape, class Sums>
void check_backward(int N, int C, int OC, Into into, int parts) {
    Case<bf16> c(
        "linear_hopper backward",
        {{"N", N}, {"C", C}, {"OC", OC}, {"m", Shape::m}, {"n", Shape::n}, {"into", long(into)}, {"parts", parts}});
    c.gpu.into = c.cpu.into = into;
    const size_t n = size_t(N) * C;
    auto weight = c.random<bf16>("weight", size_t(OC) * C), d_out = c.random<bf16>("d_out", size_t(N) * OC),
         inp = c.random<bf16>("inp", n);
    auto d_inp = c.fresh<bf16>("d_inp", n);
    const double before = into == Into::add ? 0.5 : NAN;
    auto d_weight = c.fill<float>("d_weight", size_t(OC) * C, before),
         d_alone = c.fill<float>("d_alone", size_t(OC) * C, before), d_bias = c.fill<float>("d_bias", OC, before);
    c.run([&](auto on) {
        if constexpr (on_gpu<decltype(on)>) {
            const AlongK<bf16> a{d_out(on), OC, N};
            const Across<bf16> b{weight(on), C, C};
            linear_hopper_by<Shape>(LinearGradient{d_inp(on), C}, a, b, OC, round_up(OC, 64), on);
            const Across<bf16> rows{d_out(on), OC, OC}, columns{inp(on), C, C};
            linear_hopper_sum_by<Sums>(d_weight(on), d_bias(on), rows, columns, N, parts, on);
            linear_hopper_sum_by<Sums>(d_alone(on), nullptr, rows, columns, N, parts, on);
        } else {
            linear_backward(d_inp(on), d_weight(on), d_bias(on), d_out(on), inp(on), weight(on), N, C, OC, on);
            std::copy_n(d_weight(on), size_t(OC) * C, d_alone(on));
        }
    });
    c.expect(d_inp, OC), c.expect(d_weight, N), c.expect(d_alone, N), c.expect(d_bias, N);
}

TEST_F(linear_hopper, forward) { check_forward<HopperWide>(130, 200, 264), check_forward<HopperWide>(1500, 8, 264); }
TEST_F(linear_hopper, backward) {
    check_backward<HopperWide, HopperWideSum>(130, 264, 72, Into::add, 1);
    check_backward<HopperWide, HopperWideSum>(1000, 8, 136, Into::assign, 2);
    check_backward<HopperWide, HopperTurnsSum>(333, 200, 264, Into::add, 3);
    check_backward<HopperWide, HopperTurnsSum>(200, 392, 1304, Into::assign, 1);
}

// Warpgroups in turn, and everything that may follow.
void check_pingpong(int N, int C, int OC) {
    Case<bf16> c("linear_hopper pingpong", {{"N", N}, {"C", C}, {"OC", OC}});
    const size_t n = size_t(N) * OC;
    auto inp = c.random<bf16>("inp", size_t(N) * C), weight = c.random<bf16>("weight", size_t(2) * OC * C);
    auto bias = c.random<bf16>("bias", size_t(2) * OC), of = c.random<bf16>("of", 2 * n);
    auto out = c.fresh<bf16>("out", n), before = c.fresh<bf16>("before", n), gelu = c.fresh<bf16>("gelu", n),
         gate_up = c.fresh<bf16>("gate_up", 2 * n), swiglu = c.fresh<bf16>("swiglu", n),
         d_inp = c.fresh<bf16>("d_inp", n), d_before = c.fresh<bf16>("d_before", n),
         d_gate_up = c.fresh<bf16>("d_gate_up", 2 * n);
    auto d_bias = c.fresh<float>("d_bias", OC);
    c.gpu.into = c.cpu.into = Into::assign;
    c.run([&](auto on) {
        if constexpr (on_gpu<decltype(on)>) {
            const AlongK<bf16> a{inp(on), C, N}, b{weight(on), C, OC};
            const Across<bf16> across{weight(on), OC, OC};
            const LinearOperand<bf16, Along::k, RowsInTurns> turns{weight(on), C, 2 * OC, {OC}};
            linear_pingpong(LinearOut{out(on), bias(on), OC}, a, b, C, on);
            linear_pingpong(LinearGelu{gelu(on), before(on), bias(on), OC}, a, b, C, on);
            linear_pingpong(LinearSwiglu{swiglu(on), gate_up(on), bias(on), OC}, a, turns, C, on);
            linear_pingpong(LinearGradient{d_inp(on), OC}, a, across, C, on);
            linear_pingpong(LinearSwigluGradient{d_gate_up(on), of(on), OC}, a, across, C, on);
            linear_pingpong(LinearGeluGradient{d_before(on), of(on), OC}, a, across, C, on, d_bias(on));
        } else {
            double* none = nullptr;
            linear_forward(out(on), inp(on), weight(on), bias(on), N, C, OC, on);
            linear_gelu_forward(gelu(on), before(on), inp(on), weight(on), bias(on), N, C, OC, on);
            linear_swiglu_forward(swiglu(on), gate_up(on), inp(on), weight(on), bias(on), N, C, OC, on);
            std::vector<double> d_weight(size_t(C) * OC);
            linear_backward(d_inp(on), d_weight.data(), none, inp(on), of(on), weight(on), N, OC, C, on);
            gelu_backward(d_before(on), d_inp(on), of(on), n, on);
            swiglu_backward(d_gate_up(on), d_inp(on), of(on), N, OC, on);
            for (int o = 0; o < OC; o++) {
                d_bias(on)[o] = 0;
                for (int r = 0; r < N; r++) d_bias(on)[o] += d_before(on)[size_t(r) * OC + o];
            }
        }
    });
    c.expect(out, C), c.expect(before, C), c.expect(gelu, C, {1}), c.expect(gate_up, C), c.expect(swiglu, C, {2});
    c.expect(d_inp, C), c.expect(d_before, C, {1}), c.expect(d_gate_up, C, {1}), c.expect(d_bias, N, {4});
}
TEST_F(linear_hopper, pingpong) {
    check_pingpong(1200, 72, 264);
    check_pingpong(600, 328, 392);
}

}  // namespace
