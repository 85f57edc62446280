// Every reference, forward and backward, against PyTorch's float64 answers (dev/oracle/layers.py), in double and float.
// A row of a table is a shape.
#include <fmt/core.h>
#include <gtest/gtest.h>
#include "dev/test/support/golden.h"
#include "host/reference/adamw.h"
#include "host/reference/cross_entropy.h"
#include "host/reference/embedding.h"
#include "host/reference/gelu.h"
#include "host/reference/global_norm.h"
#include "host/reference/layernorm.h"
#include "host/reference/linear.h"
#include "host/reference/relu.h"
#include "host/reference/residual.h"
#include "host/reference/rmsnorm.h"
#include "host/reference/softmax.h"
#include "host/reference/swiglu.h"
#include "layer_case.h"

TEST(embedding, golden) {
    in_float_and_double([]<class T>(Cpu<T> on) {
        for (const auto& [N, C, V, P] : {std::array{1, 1, 2, 1}, {7, 20, 11, 5}, {33, 70, 17, 9}}) {
            LayerCase<T> c("embedding", {N, C, V, P});
            const auto wte = c.draw("wte", V * C), wpe = c.draw("wpe", P * C), d_out = c.draw("d_out", N * C);
            const auto token = c.integers("token", N, V), position = c.integers("position", N, P);
            std::vector<T> out(N * C), d_wte = c.draw("d_wte", V * C), d_wpe = c.draw("d_wpe", P * C);

            embedding_forward(out.data(), token.data(), position.data(), wte.data(), wpe.data(), N, C, on);
            c.expect("out", out, 2);
            const T* none = nullptr;
            embedding_forward(out.data(), token.data(), position.data(), wte.data(), none, N, C, on);
            c.expect("out_without_position", out, 1);

            embedding_backward(d_wte.data(), d_wpe.data(), d_out.data(), token.data(), position.data(), N, C, V, P, on);
            c.expect("d_wte", d_wte, N);
            c.expect("d_wpe", d_wpe, N);
            d_wte = c.draw("d_wte", V * C);
            embedding_backward(d_wte.data(), static_cast<T*>(nullptr), d_out.data(), token.data(), position.data(), N,
                               C, V, P, on);
            c.expect("d_wte", d_wte, N);
        }
    });
}

TEST(linear, golden) {
    in_float_and_double([]<class T>(Cpu<T> on) {
        for (const auto& [N, C, OC] : {std::array{1, 1, 1}, {5, 7, 3}, {37, 66, 50}}) {
            LayerCase<T> c("linear", {N, C, OC});
            const auto inp = c.draw("inp", N * C), weight = c.draw("weight", OC * C), bias = c.draw("bias", OC);
            const auto d_out = c.draw("d_out", N * OC);
            std::vector<T> out(N * OC), d_inp(N * C, T(7)), d_weight = c.draw("d_weight", OC * C),
                                                            d_bias = c.draw("d_bias", OC);

            linear_forward(out.data(), inp.data(), weight.data(), bias.data(), N, C, OC, on);
            c.expect("out", out, C);
            linear_forward(out.data(), inp.data(), weight.data(), static_cast<const T*>(nullptr), N, C, OC, on);
            c.expect("out_without_bias", out, C);

            linear_backward(d_inp.data(), d_weight.data(), d_bias.data(), d_out.data(), inp.data(), weight.data(), N, C,
                            OC, on);
            c.expect("d_inp", d_inp, OC);
            c.expect("d_weight", d_weight, N);
            c.expect("d_bias", d_bias, N);
        }
    });
}

TEST(layernorm, golden) {
    in_float_and_double([]<class T>(Cpu<T> on) {
        for (const auto& [N, C] : {std::array{1, 2}, {3, 64}, {17, 67}})
            for (const int with_bias : {0, 1}) {
                LayerCase<T> c("layernorm", {N, C, with_bias});
                const auto inp = c.draw("inp", N * C), weight = c.draw("weight", C), bias = c.draw("bias", C),
                           d_out = c.draw("d_out", N * C);
                std::vector<T> out(N * C), mean(N), rstd(N);
                std::vector<T> d_inp = c.draw("d_inp", N * C), d_weight = c.draw("d_weight", C),
                               d_bias = c.draw("d_bias", C);

                layernorm_forward(out.data(), mean.data(), rstd.data(), inp.data(), weight.data(),
                                  with_bias ? bias.data() : nullptr, 1e-5f, N, C, on);
                c.expect("out", out, C);
                c.expect("mean", mean, C);
                c.expect("rstd", rstd, C);

                std::vector<T> d_inp_bias(C, T(3)), sum = d_inp_bias;
                layernorm_backward(d_inp.data(), d_weight.data(), with_bias ? d_bias.data() : nullptr,
                                   d_inp_bias.data(), d_out.data(), inp.data(), weight.data(), mean.data(), rstd.data(),
                                   N, C, on);
                for (int i = 0; i < N * C; i++) sum[i % C] += d_inp[i];
                c.expect("d_inp", d_inp, C);
                c.expect("d_weight", d_weight, N + C);
                if (with_bias) c.expect("d_bias", d_bias, N);
                for (int j = 0; j < C; j++) EXPECT_NEAR(d_inp_bias[j], sum[j], N * 1e-6);
            }
    });
}

TEST(rmsnorm, golden) {
    in_float_and_double([]<class T>(Cpu<T> on) {
        for (const auto& [N, C] : {std::array{1, 2}, {3, 64}, {17, 67}}) {
            LayerCase<T> c("rmsnorm", {N, C});
            const auto inp = c.draw("inp", N * C), weight = c.draw("weight", C), d_out = c.draw("d_out", N * C);
            std::vector<T> out(N * C), rstd(N), d_inp = c.draw("d_inp", N * C), d_weight = c.draw("d_weight", C);

            rmsnorm_forward(out.data(), rstd.data(), inp.data(), weight.data(), 1e-5f, N, C, on);
            c.expect("out", out, C);
            c.expect("rstd", rstd, C);

            rmsnorm_backward(d_inp.data(), d_weight.data(), d_out.data(), inp.data(), weight.data(), rstd.data(), N, C,
                             on);
            c.expect("d_inp", d_inp, C);
            c.expect("d_weight", d_weight, N + C);
        }
    });
}

TEST(gelu, golden) {
    in_float_and_double([]<class T>(Cpu<T> on) {
        for (const int n : {1, 67, 500}) {
            LayerCase<T> c("gelu", {n});
            const auto inp = c.draw("inp", n, 8), d_out = c.draw("d_out", n);
            std::vector<T> out(n), d_inp(n);
            gelu_forward(out.data(), inp.data(), n, on);
            c.expect("out", out, 8);
            gelu_backward(d_inp.data(), d_out.data(), inp.data(), n, on);
            c.expect("d_inp", d_inp, 100);  // PyTorch computes 1 + tanh, which cancels
        }
    });
}

TEST(relu, golden) {
    in_float_and_double([]<class T>(Cpu<T> on) {
        for (const int n : {1, 67, 500}) {
            LayerCase<T> c("relu", {n});
            const auto inp = c.draw("inp", n, 8), d_out = c.draw("d_out", n);
            std::vector<T> out(n), d_inp(n);
            relu_forward(out.data(), inp.data(), n, on);
            c.expect("out", out, 0);
            relu_backward(d_inp.data(), d_out.data(), inp.data(), n, on);
            c.expect("d_inp", d_inp, 0);
        }
    });
}

TEST(residual, golden) {
    in_float_and_double([]<class T>(Cpu<T> on) {
        for (const int n : {1, 67, 500}) {
            LayerCase<T> c("residual", {n});
            std::vector<T> out(n);
            residual_forward(out.data(), c.draw("inp", n).data(), c.draw("branch", n).data(), n, on);
            c.expect("out", out, 1);
        }
    });
}

TEST(swiglu, golden) {
    in_float_and_double([]<class T>(Cpu<T> on) {
        for (const auto& [N, F] : {std::array{1, 1}, {5, 33}, {9, 64}}) {
            LayerCase<T> c("swiglu", {N, F});
            const auto inp = c.draw("inp", N * 2 * F, 8), d_out = c.draw("d_out", N * F);
            std::vector<T> out(N * F), d_inp(N * 2 * F);
            swiglu_forward(out.data(), inp.data(), N, F, on);
            c.expect("out", out, 8);
            swiglu_backward(d_inp.data(), d_out.data(), inp.data(), N, F, on);
            c.expect("d_inp", d_inp, 8);
        }
    });
}

TEST(softmax, golden) {
    in_float_and_double([]<class T>(Cpu<T> on) {
        for (const auto& [N, V] : {std::array{1, 1}, {5, 19}, {7, 301}}) {
            LayerCase<T> c("softmax", {N, V});
            const auto inp = c.draw("inp", N * V, 16), d_out = c.draw("d_out", N * V);
            std::vector<T> out(N * V), d_inp(N * V);
            softmax_forward(out.data(), inp.data(), N, V, on);
            c.expect("out", out, V);
            softmax_backward(d_inp.data(), d_out.data(), out.data(), N, V, on);
            c.expect("d_inp", d_inp, V);
        }
    });
}

TEST(cross_entropy, golden) {
    in_float_and_double([]<class T>(Cpu<T> on) {
        for (const auto& [N, V, P] : {std::array{1, 1, 1}, {6, 29, 32}, {9, 300, 300}}) {
            LayerCase<T> c("cross_entropy", {N, V, P});
            auto logits = c.draw("logits", N * P, 16);
            auto target = c.integers("target", N, V);
            const auto ignored = c.integers("ignored", N, 3);
            for (int n = 0; n < N; n++)
                if (ignored[n] == 0) target[n] = ignored_target;
            std::vector<T> loss(N), lse(N), d_logits(N * P, T(7));

            cross_entropy_forward(loss.data(), lse.data(), logits.data(), target.data(), N, V, P, on);
            c.expect("loss", loss, V);
            c.expect("lse", lse, V);

            const T d_loss = T(0.25);
            cross_entropy_backward(d_logits.data(), &d_loss, logits.data(), lse.data(), target.data(), N, V, P, on);
            c.expect("d_logits", d_logits, V);  // and in place:
            cross_entropy_backward(logits.data(), &d_loss, logits.data(), lse.data(), target.data(), N, V, P, on);
            c.expect("d_logits", logits, V);
        }
    });
}

TEST(global_norm, golden) {
    in_float_and_double([]<class T>(Cpu<T> on) {
        for (const int n : {1, 1000, 140000}) {
            LayerCase<T> c("global_norm", {n});
            std::vector<T> norm(1);
            global_norm(norm.data(), c.draw("x", n).data(), n, on);
            c.expect("norm", norm, n);
        }
    });
}

// What the GELU of a large model is given: a gradient times 0, and not infinity.
TEST(gelu, far_from_zero_the_gradient_is_that_of_0_or_of_x) {
    std::vector<float> inp, got;
    for (float x = 6; x < 2000; x *= 1.001f) inp.insert(inp.end(), {x, -x});
    const std::vector<float> d_out(inp.size(), 3);
    got.resize(inp.size());
    gelu_backward(got.data(), d_out.data(), inp.data(), inp.size(), Cpu<float>());
    for (size_t i = 0; i < inp.size(); i++) EXPECT_NEAR(got[i], inp[i] > 0 ? 3 : 0, 1e-5) << inp[i];
}

TEST(adamw, golden) {
    in_float_and_double([]<class T>(Cpu<T> on) {
        const std::vector<int> sizes = {300, 77, 130}, begins = {0, 300, 377};
        const AdamwSegment segments[] = {{0, 300, 0.1f}, {300, 77, 0}, {377, 130, 0.1f}};
        LayerCase<T> c("adamw", sizes);
        std::vector<T> master(507), weight(507), m(507), v(507), d(507), norm(1);
        const std::string names[] = {"weight0", "weight1", "weight2"};
        for (int s = 0; s < 3; s++) std::ranges::copy(c.draw(names[s], sizes[s]), master.begin() + begins[s]);
        for (int step = 1; step <= 4; step++) {
            for (int s = 0; s < 3; s++)
                std::ranges::copy(c.draw(fmt::format("d_{}_{}", names[s], step), sizes[s], step == 2 ? 2 : 0.5),
                                  d.begin() + begins[s]);
            global_norm(norm.data(), d.data(), d.size(), on);
            c.expect(fmt::format("norm_{}", step), norm, 507);
            const AdamwStep now{1e-2f,
                                0.9f,
                                0.95f,
                                1e-8f,
                                9.0f,
                                float(1 - std::pow(double(0.9f), step)),
                                float(1 - std::pow(double(0.95f), step))};
            adamw_update(weight.data(), master.data(), m.data(), v.data(), d.data(), norm.data(), &now, segments, 3,
                         on);
        }
        c.expect("weight", weight, 50);
        c.expect("weight", master, 50);
        c.expect("m", m, 50);
        c.expect("v", v, 50);
    });
}
