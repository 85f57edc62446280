// The formulas that dev/doc derives: every backward pass against its own forward pass, and what the pages say besides.
//     ./test_gpt --gtest_filter='derivations.*'
#include <gtest/gtest.h>
#include "dev/test/support/golden.h"
#include "host/reference/adamw.h"
#include "host/reference/attention.h"
#include "host/reference/cross_entropy.h"
#include "host/reference/gelu.h"
#include "host/reference/layernorm.h"
#include "host/reference/linear.h"
#include "host/reference/rmsnorm.h"
#include "host/reference/rope.h"
#include "host/reference/sdpa.h"
#include "host/reference/softmax.h"
#include "host/reference/swiglu.h"
#include "host/training/muon.h"

namespace {

using Complex = std::complex<double>;
using Doubles = std::vector<double>;
using On = Cpu<double>;
using OnComplex = Cpu<Complex>;

double dot(const Doubles& x, const Doubles& y) { return std::inner_product(x.begin(), x.end(), y.begin(), 0.0); }
Doubles part(const Doubles& x, size_t begin, size_t n) { return {x.begin() + begin, x.begin() + begin + n}; }

// How d_out . out moves when inp moves along v: exact, as nothing is subtracted (Squire & Trapp 1998).
template <class Layer>
double complex_step(const Doubles& inp, const Doubles& v, const Doubles& d_out, Layer layer) {
    const double h = 1e-100;
    std::vector<Complex> x, out(d_out.size());
    for (size_t i = 0; i < inp.size(); i++) x.emplace_back(inp[i], h * v[i]);
    layer(out.data(), x.data());
    double sum = 0;
    for (size_t i = 0; i < out.size(); i++) sum += d_out[i] * out[i].imag() / h;
    return sum;
}

// d_inp is the gradient of d_out . layer(inp): it agrees with forward along random directions.
template <class Layer>
void expect_gradient(const Doubles& d_inp, const Doubles& inp, const Doubles& d_out, Layer layer) {
    for (const char* name : {"first direction", "second direction", "third direction"}) {
        const Doubles v = drawn<double>(name, inp.size());
        const double exact = complex_step(inp, v, d_out, layer);
        EXPECT_NEAR(dot(d_inp, v), exact, 1e-12 * (1 + std::abs(exact))) << name;
    }
}

TEST(derivations, softmax) {
    const int N = 3, V = 7;
    const Doubles inp = drawn<double>("inp", N * V, 4), d_out = drawn<double>("d_out", N * V);
    Doubles out(N * V), d_inp(N * V);
    softmax_forward(out.data(), inp.data(), N, V, On());
    softmax_backward(d_inp.data(), d_out.data(), out.data(), N, V, On());
    expect_gradient(d_inp, inp, d_out, [&](Complex* y, const Complex* x) { softmax_forward(y, x, N, V, OnComplex()); });
    for (int n = 0; n < N; n++) EXPECT_NEAR(dot(part(d_inp, n * V, V), Doubles(V, 1)), 0, 1e-14);
}

// (m, s) of parts of a row merge into that of the row, wherever it is cut.
TEST(derivations, softmax_merging) {
    const Doubles row = drawn<double>("row", 40, 500);  // no exp(x) of it would fit
    using Pair = std::pair<double, double>;
    const auto merge = [](Pair a, Pair b) {
        const double m = std::max(a.first, b.first);
        return Pair{m, a.second * std::exp(a.first - m) + b.second * std::exp(b.first - m)};
    };
    const auto of = [&](size_t begin, size_t end) {
        Pair all{row[begin], 1};
        for (size_t i = begin + 1; i < end; i++) all = merge(all, {row[i], 1});
        return all;
    };
    const double top = *std::ranges::max_element(row);
    double sum = 0;
    for (const double x : row) sum += std::exp(x - top);
    for (const size_t cut : {1, 7, 20, 39}) {
        const auto [m, s] = merge(of(cut, row.size()), of(0, cut));
        EXPECT_EQ(m, top);
        EXPECT_NEAR(s, sum, 1e-12 * sum);
    }
}

TEST(derivations, cross_entropy) {
    const int N = 4, V = 9, P = 11;
    const std::vector<int> target = {3, ignored_target, 8, 0};
    const double d_loss = 1.0 / 3;
    const Doubles logits = drawn<double>("logits", N * P, 4);
    Doubles loss(N), lse(N), d_logits(N * P);
    cross_entropy_forward(loss.data(), lse.data(), logits.data(), target.data(), N, V, P, On());
    cross_entropy_backward(d_logits.data(), &d_loss, logits.data(), lse.data(), target.data(), N, V, P, On());
    std::vector<Complex> unused(N);
    expect_gradient(d_logits, logits, Doubles(N, d_loss), [&](Complex* y, const Complex* x) {
        cross_entropy_forward(y, unused.data(), x, target.data(), N, V, P, OnComplex());
    });
    for (int n = 0; n < N; n++) EXPECT_NEAR(dot(part(d_logits, n * P, P), Doubles(P, 1)), 0, 1e-14);

    cross_entropy_forward(loss.data(), lse.data(), Doubles(N * P, 5).data(), target.data(), N, V, P, On());
    EXPECT_NEAR(loss[0], std::log(V), 1e-14);  // a model that knows nothing
}

TEST(derivations, rmsnorm) {
    const int N = 3, C = 8;
    const float eps = 0;
    const Doubles inp = drawn<double>("inp", N * C), d_out = drawn<double>("d_out", N * C);
    const Doubles weight = drawn<double>("weight", C);
    Doubles out(N * C), rstd(N), d_inp(N * C), d_weight(C);
    rmsnorm_forward(out.data(), rstd.data(), inp.data(), weight.data(), eps, N, C, On());
    rmsnorm_backward(d_inp.data(), d_weight.data(), d_out.data(), inp.data(), weight.data(), rstd.data(), N, C, On());

    Doubles both = inp, d_both = d_inp;  // the input, then the weight
    both.insert(both.end(), weight.begin(), weight.end());
    d_both.insert(d_both.end(), d_weight.begin(), d_weight.end());
    std::vector<Complex> unused(N);
    expect_gradient(d_both, both, d_out, [&](Complex* y, const Complex* x) {
        rmsnorm_forward(y, unused.data(), x, x + N * C, eps, N, C, OnComplex());
    });
    // A longer row gives the same output: the gradient has no part along the row.
    for (int n = 0; n < N; n++) EXPECT_NEAR(dot(part(d_inp, n * C, C), part(inp, n * C, C)), 0, 1e-14);
}

TEST(derivations, layernorm) {
    const int N = 3, C = 8;
    const float eps = 0;
    const Doubles inp = drawn<double>("inp", N * C), d_out = drawn<double>("d_out", N * C);
    const Doubles gains = drawn<double>("gains", 2 * C);
    const double *weight = gains.data(), *bias = weight + C;
    Doubles out(N * C), mean(N), rstd(N), d_inp(N * C), d_gains(2 * C);
    layernorm_forward(out.data(), mean.data(), rstd.data(), inp.data(), weight, bias, eps, N, C, On());
    layernorm_backward(d_inp.data(), d_gains.data(), d_gains.data() + C, static_cast<double*>(nullptr), d_out.data(),
                       inp.data(), weight, mean.data(), rstd.data(), N, C, On());

    Doubles all = inp, d_all = d_inp;  // the input, the weight, the bias
    all.insert(all.end(), gains.begin(), gains.end());
    d_all.insert(d_all.end(), d_gains.begin(), d_gains.end());
    std::vector<Complex> unused(2 * N);
    expect_gradient(d_all, all, d_out, [&](Complex* y, const Complex* x) {
        layernorm_forward(y, unused.data(), unused.data() + N, x, x + N * C, x + N * C + C, eps, N, C, OnComplex());
    });
    // Nor does a row that is moved as a whole change the output.
    for (int n = 0; n < N; n++) {
        EXPECT_NEAR(dot(part(d_inp, n * C, C), part(inp, n * C, C)), 0, 1e-13);
        EXPECT_NEAR(dot(part(d_inp, n * C, C), Doubles(C, 1)), 0, 1e-13);
    }
}

// cos and sin of `positions` many positions.
std::pair<Doubles, Doubles> angles(int positions, int HS) {
    Doubles cos, sin;
    for (int t = 0; t < positions; t++)
        for (int i = 0; i < HS / 2; i++) {
            cos.push_back(std::cos(t * rope_frequency(i, HS, 10000, {})));
            sin.push_back(std::sin(t * rope_frequency(i, HS, 10000, {})));
        }
    return {cos, sin};
}

TEST(derivations, rope) {
    const int HS = 8;
    const auto [cos, sin] = angles(40, HS);
    for (const RopePairs pairs : {RopePairs::half, RopePairs::interleaved}) {
        const Doubles q = drawn<double>("q", HS), k = drawn<double>("k", HS);
        const auto rotated = [&, &cos = cos, &sin = sin](Doubles head, int t) {  // one head, which has no value
            head.resize(3 * HS);
            rope_forward(head.data(), &t, cos.data(), sin.data(), pairs, 1, 1, 1, HS, On());
            return part(head, 0, HS);
        };
        // A score depends on the distance alone; lengths stay; turning back is the inverse.
        EXPECT_NEAR(dot(rotated(q, 12), rotated(k, 5)), dot(rotated(q, 37), rotated(k, 30)), 1e-13);
        EXPECT_NEAR(dot(rotated(q, 12), rotated(k, 12)), dot(q, k), 1e-13);
        EXPECT_NEAR(dot(rotated(q, 33), rotated(q, 33)), dot(q, q), 1e-13);
        Doubles back = rotated(q, 33);
        back.resize(3 * HS);
        const int t = 33;
        rope_backward(back.data(), &t, cos.data(), sin.data(), pairs, 1, 1, 1, HS, On());
        for (int i = 0; i < HS; i++) EXPECT_NEAR(back[i], q[i], 1e-14);
    }
}

TEST(derivations, swiglu) {
    const int N = 3, F = 5;
    const Doubles inp = drawn<double>("inp", N * 2 * F, 4), d_out = drawn<double>("d_out", N * F);
    Doubles d_inp(N * 2 * F);
    swiglu_backward(d_inp.data(), d_out.data(), inp.data(), N, F, On());
    expect_gradient(d_inp, inp, d_out, [&](Complex* y, const Complex* x) { swiglu_forward(y, x, N, F, OnComplex()); });
}

TEST(derivations, gelu) {
    const int n = 50;
    const Doubles inp = drawn<double>("inp", n, 4), d_out = drawn<double>("d_out", n);
    Doubles d_inp(n), out(n);
    gelu_backward(d_inp.data(), d_out.data(), inp.data(), n, On());
    expect_gradient(d_inp, inp, d_out, [&](Complex* y, const Complex* x) { gelu_forward(y, x, n, OnComplex()); });
    gelu_forward(out.data(), inp.data(), n, On());  // the form with tanh
    for (int i = 0; i < n; i++) {
        const double x = inp[i], u = std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x);
        EXPECT_NEAR(out[i], x / 2 * (1 + std::tanh(u)), 1e-14);
    }
}

TEST(derivations, linear) {
    const int N = 3, C = 4, OC = 5, inputs = N * C, weights = OC * C;
    const Doubles all = drawn<double>("inp, weight, bias", inputs + weights + OC);
    const Doubles d_out = drawn<double>("d_out", N * OC);
    Doubles d_all(all.size());
    linear_backward(d_all.data(), d_all.data() + inputs, d_all.data() + inputs + weights, d_out.data(), all.data(),
                    all.data() + inputs, N, C, OC, On());
    expect_gradient(d_all, all, d_out, [&](Complex* y, const Complex* x) {
        linear_forward(y, x, x + inputs, x + inputs + weights, N, C, OC, OnComplex());
    });
}

// Two query heads that share a key/value head.
struct Heads {
    static constexpr int B = 1, T = 6, NH = 2, NKV = 1, HS = 4, row = (NH + 2 * NKV) * HS, out_row = NH * HS;
    const Doubles qkv = drawn<double>("qkv", T*row, 2), d_out = drawn<double>("d_out", T*out_row);
    static void forward(Complex* y, const Complex* x) {
        std::vector<Complex> lse(T * NH);
        attention_forward(y, lse.data(), x, nullptr, Dropout{}, {B, T, NH, NKV, HS}, OnComplex());
    }
};

TEST(derivations, attention) {
    const Heads h;
    Doubles out(h.d_out.size()), lse(h.T * h.NH), d_qkv(h.qkv.size());
    attention_forward(out.data(), lse.data(), h.qkv.data(), nullptr, Dropout{}, {h.B, h.T, h.NH, h.NKV, h.HS}, On());
    attention_backward(d_qkv.data(), h.d_out.data(), out.data(), lse.data(), h.qkv.data(), nullptr, Dropout{},
                       {h.B, h.T, h.NH, h.NKV, h.HS}, On());
    expect_gradient(d_qkv, h.qkv, h.d_out, Heads::forward);
}

// What comes later changes nothing, not in the last bit.
TEST(derivations, causal_mask) {
    const Heads h;
    for (int t = 0; t < h.T; t++) {
        Doubles later(h.qkv.size()), up_to_now = h.d_out;
        std::fill(later.begin() + (t + 1) * h.row, later.end(), 1);
        std::fill(up_to_now.begin() + (t + 1) * h.out_row, up_to_now.end(), 0);
        EXPECT_EQ(complex_step(h.qkv, later, up_to_now, Heads::forward), 0) << t;
    }
}

// delta: the sum over a row of probabilities times their gradients needs no probability.
TEST(derivations, attention_delta) {
    const int T = 5, S = 7, HS = 4;
    const Doubles q = drawn<double>("q", T * HS), k = drawn<double>("k", S * HS), v = drawn<double>("v", S * HS),
                  d_out = drawn<double>("d_out", T * HS);
    Doubles out(T * HS), prob(T * S);
    sdpa_forward(out.data(), prob.data(), q.data(), k.data(), v.data(), nullptr, 1, T, S, HS, HS, On());
    for (int t = 0; t < T; t++) {
        double delta = 0;
        for (int s = 0; s < S; s++) delta += prob[t * S + s] * dot(part(d_out, t * HS, HS), part(v, s * HS, HS));
        EXPECT_NEAR(delta, dot(part(d_out, t * HS, HS), part(out, t * HS, HS)), 1e-14);
    }
}

// `steps` steps with the same gradient, from weight 2; the weight after each.
Doubles adamw_steps(int steps, double gradient, float lr, float decay, float clip = 0) {
    double weight = 2, m = 0, v = 0;
    const double norm = std::abs(gradient);
    const AdamwSegment all{0, 1, decay};
    Doubles weights;
    for (int t = 1; t <= steps; t++) {
        const AdamwStep step{lr, 0.9f, 0.99f, 1e-8f, clip, float(1 - std::pow(0.9, t)), float(1 - std::pow(0.99, t))};
        adamw_update(&weight, &weight, &m, &v, &gradient, &norm, &step, &all, 1, On());
        weights.push_back(weight);
    }
    return weights;
}

TEST(derivations, adamw) {
    for (const double gradient : {1e-3, -1e-3, 50.0}) {  // every step is lr, whatever the gradient's size
        const Doubles weight = adamw_steps(20, gradient, 0.25f, 0);
        for (int t = 0; t < 20; t++) EXPECT_NEAR(weight[t], 2 - (t + 1) * std::copysign(0.25, gradient), 2e-4) << t;
    }
    const Doubles decayed = adamw_steps(20, 0, 0.25f, 0.5f);  // decay alone: by 1 - lr decay, every step
    for (int t = 0; t < 20; t++) EXPECT_NEAR(decayed[t], 2 * std::pow(1 - 0.25 * 0.5, t + 1), 1e-12) << t;
    // Clipped to norm 1, a gradient of 50 is one of 1.
    EXPECT_NEAR(adamw_steps(1, 50, 0.25f, 0, 1).back(), adamw_steps(1, 1, 0.25f, 0).back(), 1e-12);
    EXPECT_EQ(adamw_steps(1, HUGE_VAL, 0.25f, 0.5f).back(), 2);
}

// What Muon subtracts in a first step without momentum, of a gradient (R,C).
Doubles muon_direction_of(const Doubles& gradient, int R, int C) {
    Layout layout;
    layout.add("matrix", {R, C});
    layout.parameters[0].matrices = {R};
    const Muon<On> muon(layout, MuonScale::original, 0, On());
    Doubles weight(gradient.size()), m(gradient.size());
    const double norm = 1;
    const MuonStep step{.lr = 1, .momentum = 0, .clip = 0};
    muon.step(weight.data(), weight.data(), m.data(), gradient.data(), &norm, &step);
    const float scale = muon_scale(MuonScale::original, R, C);
    for (double& w : weight) w /= -scale;
    return weight;
}
double five_times(double s) {
    for (int i = 0; i < 5; i++) s = muon_a * s + muon_b * s * s * s + muon_c * s * s * s * s * s;
    return s;
}

// Newton-Schulz leaves singular vectors alone and takes each singular value through a polynomial, five times.
TEST(derivations, muon) {
    for (int i = 0; i < 1000; i++) {
        const double s = five_times(0.002 * std::pow(500, i / 999.0));  // of 0.002 .. 1
        EXPECT_TRUE(0.68 < s && s < 1.203) << i;
    }
    // (R,C) = left (R,2) . diag(2, 0.1) . right^T (2,C), with orthonormal columns left and right.
    const double size = std::sqrt(4 + 0.01), values[] = {2, 0.1};
    const Doubles three = {2 / 3., -2 / 3., 1 / 3., 1 / 3., 2 / 3., 2 / 3.}, two = {0.6, 0.8, -0.8, 0.6};
    const auto product = [&](const Doubles& left, const Doubles& right, auto value) {
        const size_t R = left.size() / 2, C = right.size() / 2;
        Doubles out(R * C);
        for (size_t i = 0; i < R * C; i++)
            for (const size_t k : {0, 1}) out[i] += left[k * R + i / C] * value(values[k]) * right[k * C + i % C];
        return out;
    };
    const auto as_it_is = [](double s) { return s; };
    const auto made_one = [&](double s) { return five_times(s / size); };
    for (const auto& [left, right] : {std::pair(three, two), std::pair(two, three), std::pair(two, two)}) {
        const Doubles got = muon_direction_of(product(left, right, as_it_is), int(left.size() / 2),
                                              int(right.size() / 2)),
                      want = product(left, right, made_one);
        for (size_t i = 0; i < want.size(); i++) EXPECT_NEAR(got[i], want[i], 1e-6) << left.size() << " " << i;
    }
}

}  // namespace
