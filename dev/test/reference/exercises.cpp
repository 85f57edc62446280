// The answers to the exercises of dev/doc, a test for each page.      ./test_gpt --gtest_filter='exercises.*'
#include <gtest/gtest.h>
#include <array>
#include <set>
#include "dev/test/support/golden.h"
#include "host/reference/adamw.h"
#include "host/reference/attention.h"
#include "host/reference/cross_entropy.h"
#include "host/reference/dropout.h"
#include "host/reference/embedding.h"
#include "host/reference/layernorm.h"
#include "host/reference/linear.h"
#include "host/reference/rmsnorm.h"
#include "host/reference/rope.h"
#include "host/reference/sampling.h"
#include "host/reference/softmax.h"
#include "host/reference/swiglu.h"
#include "host/training/muon.h"
#include "host/training/schedule.h"

namespace {

using Doubles = std::vector<double>;
const Cpu<double> on;
constexpr double near = 1e-12;

TEST(exercises, softmax) {
    const Doubles inp = {1, 2, 4}, shifted = {1001, 1002, 1004}, ones = {1, 1, 1};
    Doubles out(3), again(3), d(3);
    softmax_forward(out.data(), inp.data(), 1, 3, on);
    softmax_forward(again.data(), shifted.data(), 1, 3, on);
    for (int v = 0; v < 3; v++) EXPECT_NEAR(out[v], again[v], near);

    softmax_backward(d.data(), ones.data(), out.data(), 1, 3, on);
    for (int v = 0; v < 3; v++) EXPECT_NEAR(d[v], 0, near);

    const Doubles half = {0.5, 0.5}, second = {0, 1};
    softmax_backward(d.data(), second.data(), half.data(), 1, 2, on);
    EXPECT_NEAR(d[1], 0.25, near);
}

double loss_of(const Doubles& logits, int target) {
    double loss, lse;
    const int V = int(logits.size());
    cross_entropy_forward(&loss, &lse, logits.data(), &target, 1, V, V, on);
    return loss;
}

TEST(exercises, cross_entropy) {
    EXPECT_NEAR(loss_of(Doubles(50257, 3.0), 17), 10.825, 1e-3);

    const Doubles logits = {std::log(0.9), std::log(0.1)};
    const int target = 0;
    const double lse = 0, d_loss = 1;
    Doubles d(2);
    cross_entropy_backward(d.data(), &d_loss, logits.data(), &lse, &target, 1, 2, 2, on);
    EXPECT_NEAR(d[0], -0.1, near);
    EXPECT_NEAR(d[1], 0.1, near);

    EXPECT_NEAR(loss_of({1, 0}, 0), 0.3133, 1e-4);
    EXPECT_NEAR(loss_of({2, 0}, 0), 0.1269, 1e-4);
    EXPECT_NEAR(loss_of({1, 0}, 1), 1.3133, 1e-4);
    EXPECT_NEAR(loss_of({2, 0}, 1), 2.1269, 1e-4);
}

TEST(exercises, rmsnorm) {
    const int C = 5;
    const Doubles weight(C, 1), inp = {1, -2, 3, 0.5, 4}, d_out = {1, 0, -1, 2, 1};
    Doubles large(C), shifted(C), out(C), out10(C), d(C), d10(C), d_weight(C);
    for (int c = 0; c < C; c++) large[c] = 10 * inp[c], shifted[c] = inp[c] + 3;
    double rstd, mean;
    rmsnorm_forward(out.data(), &rstd, inp.data(), weight.data(), 0, 1, C, on);
    rmsnorm_backward(d.data(), d_weight.data(), d_out.data(), inp.data(), weight.data(), &rstd, 1, C, on);
    rmsnorm_forward(out10.data(), &rstd, large.data(), weight.data(), 0, 1, C, on);
    rmsnorm_backward(d10.data(), d_weight.data(), d_out.data(), large.data(), weight.data(), &rstd, 1, C, on);
    for (int c = 0; c < C; c++) {
        EXPECT_NEAR(out10[c], out[c], near);
        EXPECT_NEAR(d10[c], d[c] / 10, near);
    }

    const auto layernorm = [&](const Doubles& x) {
        Doubles y(C);
        layernorm_forward(y.data(), &mean, &rstd, x.data(), weight.data(), static_cast<double*>(nullptr), 0, 1, C, on);
        return y;
    };
    const Doubles y = layernorm(inp), z = layernorm(shifted);
    rmsnorm_forward(out10.data(), &rstd, shifted.data(), weight.data(), 0, 1, C, on);
    for (int c = 0; c < C; c++) EXPECT_NEAR(y[c], z[c], near);
    EXPECT_GT(std::abs(out10[1] - out[1]), 0.1);

    const Doubles pair = {3, 7}, d_pair = {1, 5};
    Doubles two(2), d_two(2);
    layernorm_forward(two.data(), &mean, &rstd, pair.data(), weight.data(), static_cast<double*>(nullptr), 0, 1, 2, on);
    double* none = nullptr;
    layernorm_backward(d_two.data(), d_weight.data(), none, none, d_pair.data(), pair.data(), weight.data(), &mean,
                       &rstd, 1, 2, on);
    EXPECT_NEAR(two[0], -1, near);
    EXPECT_NEAR(two[1], 1, near);
    for (const double x : d_two) EXPECT_NEAR(x, 0, near);
}

TEST(exercises, rope) {
    const int HS = 4, T = 200;
    Doubles cos(T * HS / 2), sin(T * HS / 2);
    for (int t = 0; t < T; t++)
        for (int i = 0; i < HS / 2; i++) {
            const double angle = t * rope_frequency(i, HS, 10000, {});
            cos[t * HS / 2 + i] = std::cos(angle), sin[t * HS / 2 + i] = std::sin(angle);
        }
    // One query and one key head; the value is left alone.
    const auto rotated = [&](int t) {
        Doubles qkv = {1, 2, 3, 4, -1, 0.5, 2, 1, 9, 9, 9, 9};
        rope_forward(qkv.data(), &t, cos.data(), sin.data(), RopePairs::half, 1, 1, 1, HS, on);
        return qkv;
    };
    const auto score = [&](int t, int s) {
        const Doubles q = rotated(t), k = rotated(s);
        return std::inner_product(q.begin(), q.begin() + HS, k.begin() + HS, 0.0);
    };
    EXPECT_EQ(rotated(0), (Doubles{1, 2, 3, 4, -1, 0.5, 2, 1, 9, 9, 9, 9}));
    EXPECT_NEAR(score(10, 7), score(103, 100), near);
    EXPECT_NEAR(2 * M_PI / rope_frequency(31, 64, 10000, {}), 47117, 1);
}

TEST(exercises, swiglu) {
    const auto gradient = [](double gate, double up) {
        const Doubles inp = {gate, up};
        const double d_out = 1;
        Doubles d(2);
        swiglu_backward(d.data(), &d_out, inp.data(), 1, 1, on);
        return d;
    };
    EXPECT_NEAR(gradient(0, 1)[0], 0.5, near);
    const double lowest = -1.278464542761;
    double out;
    swiglu_forward(&out, Doubles{lowest, 1}.data(), 1, 1, on);
    EXPECT_NEAR(gradient(lowest, 1)[0], 0, 1e-11);
    EXPECT_NEAR(out, -0.2784645, 1e-7);
    EXPECT_NEAR(gradient(20, 3)[0], 3, 1e-6);
    EXPECT_NEAR(gradient(20, 3)[1], 20, 1e-6);
}

TEST(exercises, gemm) {
    const int N = 6, C = 3, OC = 2;
    const Doubles inp = drawn<double>("inp", N * C), zeros(OC * C), ones(N * OC, 1);
    Doubles d_inp(N * C), d_weight(OC * C), d_bias(OC);
    linear_backward(d_inp.data(), d_weight.data(), d_bias.data(), ones.data(), inp.data(), zeros.data(), N, C, OC, on);
    for (const double d : d_bias) EXPECT_EQ(d, N);
    for (const double d : d_inp) EXPECT_EQ(d, 0);
    for (int c = 0; c < C; c++) {
        double sum = 0;
        for (int n = 0; n < N; n++) sum += inp[n * C + c];
        EXPECT_NEAR(d_weight[c], sum, near);
    }
    // Operations a byte of a block's tiles: 2 m n for every m + n numbers of 2 bytes.
    const auto per_byte = [](double m, double n) { return 2 * m * n / (2 * (m + n)); };
    EXPECT_EQ(per_byte(64, 64), 32);
    EXPECT_EQ(per_byte(128, 128), 64);
    EXPECT_NEAR(per_byte(128, 256), 85.3, 0.1);
}

// One head of two channels.
struct Heads {
    int T;
    Doubles out, lse, d_qkv;
    Heads(const Doubles& qkv) : T(int(qkv.size()) / 6), out(2 * T), lse(T), d_qkv(6 * T) {
        const std::vector<int> first(T, 0);
        attention_forward(out.data(), lse.data(), qkv.data(), first.data(), {}, {1, T, 1, 1, 2}, on);
        const Doubles d_out = drawn<double>("d_out", 2 * T);
        attention_backward(d_qkv.data(), d_out.data(), out.data(), lse.data(), qkv.data(), first.data(), {},
                           {1, T, 1, 1, 2}, on);
    }
};

TEST(exercises, attention) {
    const int T = 4;
    Doubles qkv = drawn<double>("qkv", 6 * T);
    const auto value = [&](int t, int i) -> double& { return qkv[6 * t + 4 + i]; };
    EXPECT_NEAR(Heads(qkv).out[0], value(0, 0), near);
    EXPECT_NEAR(Heads(qkv).out[1], value(0, 1), near);

    Doubles same_keys = qkv;
    for (int t = 0; t < T; t++) same_keys[6 * t + 2] = 0.7, same_keys[6 * t + 3] = -0.2;
    const Heads mean(same_keys);
    EXPECT_NEAR(mean.out[2 * 2], (value(0, 0) + value(1, 0) + value(2, 0)) / 3, near);

    for (int t = 0; t < T; t++) value(t, 0) = 5, value(t, 1) = -3;
    const Heads equal(qkv);
    for (int t = 0; t < T; t++)
        for (int i = 0; i < 4; i++) EXPECT_NEAR(equal.d_qkv[6 * t + i], 0, near);
}

TEST(exercises, attention_kernels) {
    // Where vector v of row r of a tile of 64 channels stands.
    const auto place = [](int r, int v) { return v ^ r % 8; };
    EXPECT_EQ(place(5, 2), 7);
    std::set<int> places;
    for (int r = 8; r < 16; r++) places.insert(place(r, 3));
    EXPECT_EQ(places.size(), 8u);
    // Tiles of 32 queries x 64 keys that hold a pair of the triangle, and the part of their pairs that does.
    int tiles = 0;
    for (int t = 0; t < 1024; t += 32)
        for (int s = 0; s < t + 32; s += 64) tiles++;
    EXPECT_EQ(tiles, 272);
    EXPECT_NEAR(1024 * 1025 / 2 / (272.0 * 32 * 64), 0.942, 1e-3);
    // Against five matmuls at 80% of the peak: seven, three of them at 68% of 0.62 of it, four at 57%.
    EXPECT_NEAR((3 / 0.68 + 4 / 0.57) / 0.62 / (5 / 0.8), 2.95, 0.01);
}

// Where one weight stands after these gradients.
double adamw(const Doubles& gradients, double weight, float decay) {
    double m = 0, v = 0;
    const AdamwSegment all{0, 1, decay};
    for (size_t t = 1; t <= gradients.size(); t++) {
        const AdamwStep step{1e-3f, 0.9f, 0.99f, 1e-8f, 0, float(1 - std::pow(0.9, t)), float(1 - std::pow(0.99, t))};
        adamw_update(&weight, &weight, &m, &v, &gradients[t - 1], &gradients[t - 1], &step, &all, 1, on);
    }
    return weight;
}

TEST(exercises, adamw) {
    EXPECT_NEAR(adamw({0.001}, 0, 0), -1e-3, 1e-7);
    EXPECT_NEAR(adamw({50}, 0, 0), -1e-3, 1e-7);
    Doubles alternating;
    for (int i = 0; i < 2000; i++) alternating.push_back(i % 2 ? 1 : -1);
    const double before = adamw(alternating, 0, 0);
    alternating.push_back(-1);
    EXPECT_NEAR(adamw(alternating, 0, 0) - before, 5.26e-5, 1e-6);
    EXPECT_NEAR(adamw(Doubles(1000, 0), 1, 0.1f), 0.905, 1e-3);
}

// What Muon makes of a gradient (R,C) in a first step of rate 1.
Doubles muon(const Doubles& gradient, int R, int C, MuonScale scale) {
    Layout layout;
    layout.add("matrix", {R, C});
    layout.parameters[0].matrices = {R};
    Doubles weight(gradient.size()), m(gradient.size());
    const double norm = 1;
    const MuonStep step{.lr = 1, .momentum = 0, .clip = 0};
    Muon<Cpu<double>>(layout, scale, 0, on).step(weight.data(), weight.data(), m.data(), gradient.data(), &norm, &step);
    return weight;
}

TEST(exercises, muon) {
    const Doubles once = muon({3, 0, 0, 1}, 2, 2, MuonScale::original),
                  large = muon({3e6, 0, 0, 1e6}, 2, 2, MuonScale::original);
    for (int i = 0; i < 4; i++) EXPECT_NEAR(once[i], large[i], 1e-9);
    const Doubles row = muon({3, 4}, 1, 2, MuonScale::original);
    EXPECT_NEAR(row[0] / row[1], 0.75, near);
    EXPECT_NEAR(row[1], -0.8 * 0.6964, 1e-4);
    // 128 x 512, all singular values 1: the root mean square of the elements.
    EXPECT_NEAR(std::sqrt(128.0 / (128 * 512)), 1 / std::sqrt(512.0), near);
    EXPECT_NEAR(muon_scale(MuonScale::rms, 128, 512) / std::sqrt(512.0), 0.2, 1e-7);
}

TEST(exercises, embedding) {
    const int N = 5, C = 2;
    const std::vector<int> token = {4, 1, 4, 4, 0}, position = {0, 1, 2, 3, 4};
    const Doubles d_out(N * C, 1);
    Doubles d_wte(6 * C), d_wpe(N * C);
    embedding_backward(d_wte.data(), d_wpe.data(), d_out.data(), token.data(), position.data(), N, C, 6, N, on);
    EXPECT_EQ(d_wte[4 * C], 3);
    EXPECT_EQ(d_wte[2 * C], 0);

    Noise noise{.seed = 1, .step = 1, .row = 0};
    const Dropout drop{0.5f, 0, &noise};
    Doubles factor(100000);
    dropout_factors(factor.data(), drop, 0, int(factor.size()));
    EXPECT_NEAR(std::accumulate(factor.begin(), factor.end(), 0.0) / double(factor.size()), 1, 0.02);
    EXPECT_EQ(std::set<double>(factor.begin(), factor.end()), (std::set<double>{0, 2}));

    // Row 0 of a micro-batch that begins at row 5 of the step is row 5 of a whole one.
    const Doubles whole(6 * C, 1), row(C, 1);
    Doubles out(6 * C), part(C);
    dropout_forward(out.data(), whole.data(), drop, 6, C, on);
    noise.row = 5;
    dropout_forward(part.data(), row.data(), drop, 1, C, on);
    for (int c = 0; c < C; c++) EXPECT_EQ(part[c], out[5 * C + c]);
}

TEST(exercises, training_step) {
    const LearningRate rate{.peak = 0.003, .minimum = 0.0003, .warmup = 75, .steps = 1500};
    EXPECT_NEAR(rate.at(0), 4e-5, near);
    EXPECT_NEAR(rate.at(74), 0.003, near);
    EXPECT_NEAR(rate.at(1499), 0.0003, 1e-7);
    // Means of micro-batches of 100 and 50 targets with losses 2 and 5: each scaled by 1/150, and by itself.
    EXPECT_NEAR((100 * 2.0 + 50 * 5.0) / 150, 3, near);
    EXPECT_NEAR((2.0 + 5.0) / 2, 3.5, near);
    // Clipping at 1 a gradient (3, 4).
    const double norm = std::hypot(3, 4), scale = std::min(1.0, 1 / norm);
    EXPECT_NEAR(3 * scale, 0.6, near);
    EXPECT_NEAR(4 * scale, 0.8, near);
}

TEST(exercises, generation) {
    // The first of these u that no longer picks token 0 tells its probability.
    const auto first_probability = [](const std::vector<float>& logits, const Sampling& how) {
        for (int i = 0; i < 1000; i++)
            if (sample_row(logits.data(), how, i * 1e-3, int(logits.size())) != 0) return i * 1e-3;
        return 1.0;
    };
    EXPECT_NEAR(first_probability({1, 0}, {.temperature = 0.5f}), 0.881, 2e-3);
    std::vector<float> logits;
    for (const double p : {0.5, 0.3, 0.1, 0.05, 0.05}) logits.push_back(float(std::log(p)));
    EXPECT_NEAR(first_probability(logits, {.top_p = 0.8f}), 0.625, 2e-3);
    EXPECT_NEAR(first_probability(logits, {.min_p = 0.2f}), 0.556, 2e-3);
}

TEST(exercises, evaluation) {
    const auto bits_per_byte = [](double loss, double bytes_a_token) { return loss / std::log(2) / bytes_a_token; };
    EXPECT_NEAR(std::exp(0.6653), 1.945, 1e-3);
    EXPECT_NEAR(bits_per_byte(0.6653, 1), 0.960, 1e-3);
    EXPECT_NEAR(bits_per_byte(3, 4.5), 0.962, 1e-3);
    EXPECT_EQ(1024 / 256, 4);
}

TEST(exercises, profiling) {
    EXPECT_NEAR(201.9e6 / 68e-6 / 3.03e12, 0.98, 5e-3);
    EXPECT_NEAR(2.0 * 65536 * 768 * 2304 / 327e-6, 709e12, 1e12);
    const double exponentials = 64 * 12 * (1024.0 * 1025 / 2), rate = 16 * 132 * 1.755e9;
    EXPECT_NEAR(exponentials, 4.03e8, 1e6);
    EXPECT_NEAR(exponentials / rate, 109e-6, 1e-6);
}

}  // namespace
