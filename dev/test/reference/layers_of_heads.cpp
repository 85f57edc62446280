// As layers.cpp, for the layers that work on heads: QK-norm, RoPE, attention.
#include <gtest/gtest.h>
#include "host/model/config.h"
#include "host/reference/attention.h"
#include "host/reference/qk_norm.h"
#include "host/reference/rope.h"
#include "host/reference/sdpa.h"
#include "layer_case.h"

TEST(qk_norm, golden) {
    in_float_and_double([]<class T>(Cpu<T> on) {
        for (const auto& [N, NH, NKV, HS] : {std::array{1, 1, 1, 2}, {5, 3, 1, 16}, {9, 4, 2, 10}}) {
            LayerCase<T> c("qk_norm", {N, NH, NKV, HS});
            const int n = N * (NH + 2 * NKV) * HS;
            const auto inp = c.draw("inp", n), q_weight = c.draw("q_weight", HS), k_weight = c.draw("k_weight", HS);
            auto d = c.draw("d_out", n);
            std::vector<T> out(n), rstd(N * (NH + NKV)), d_inp(n);

            qk_norm_forward(out.data(), rstd.data(), inp.data(), q_weight.data(), k_weight.data(), 1e-6f, N, NH, NKV,
                            HS, on);
            c.expect("out", out, HS);
            c.expect("rstd", rstd, HS);

            for (T* to : {d_inp.data(), d.data()}) {  // apart, then in place
                std::vector<T> d_q = c.draw("d_q_weight", HS), d_k = c.draw("d_k_weight", HS);
                qk_norm_backward(to, d_q.data(), d_k.data(), d.data(), inp.data(), q_weight.data(), k_weight.data(),
                                 rstd.data(), N, NH, NKV, HS, on);
                c.expect("d_inp", to == d.data() ? d : d_inp, HS);
                c.expect("d_q_weight", d_q, N * NH + HS);
                c.expect("d_k_weight", d_k, N * NKV + HS);
            }
        }
    });
}

TEST(rope, golden) {
    struct Shape {
        int N, NH, NKV, HS;
        RopePairs pairs;
        bool scaled;
    };
    const Shape shapes[] = {{1, 1, 1, 2, RopePairs::half, false},
                            {6, 3, 1, 10, RopePairs::half, false},
                            {6, 3, 1, 10, RopePairs::interleaved, false},
                            {9, 4, 2, 16, RopePairs::half, true}};
    in_float_and_double([&]<class T>(Cpu<T> on) {
        for (const auto& [N, NH, NKV, HS, pairs, scaled] : shapes) {
            LayerCase<T> c("rope", {N, NH, NKV, HS, pairs == RopePairs::interleaved, scaled});
            Config config;
            if (scaled) config.rope_theta = 500000, config.rope_scaling = {8, 1, 4, 64};
            const int n = N * (NH + 2 * NKV) * HS, context = 40;
            const auto position = c.integers("position", N, context);
            std::vector<T> cos, sin;
            for (int t = 0; t < context; t++)
                for (int i = 0; i < HS / 2; i++) {
                    cos.push_back(T(std::cos(t * rope_frequency(i, HS, config.rope_theta, config.rope_scaling))));
                    sin.push_back(T(std::sin(t * rope_frequency(i, HS, config.rope_theta, config.rope_scaling))));
                }
            auto qkv = c.draw("inp", n), d_qkv = c.draw("d_out", n);
            rope_forward(qkv.data(), position.data(), cos.data(), sin.data(), pairs, N, NH, NKV, HS, on);
            c.expect("out", qkv, context * context);  // an angle's rounding error grows with the angle
            rope_backward(d_qkv.data(), position.data(), cos.data(), sin.data(), pairs, N, NH, NKV, HS, on);
            c.expect("d_inp", d_qkv, context * context);
        }
    });
}

TEST(attention, golden) {
    struct Shape {
        int B, T, NH, NKV, HS;
        bool intervals;
    };
    const Shape shapes[] = {{1, 1, 1, 1, 4, false},
                            {2, 7, 3, 3, 5, false},
                            {2, 9, 6, 1, 8, true},
                            {1, 70, 4, 2, 6, false},
                            {1, 70, 4, 2, 6, true}};
    in_float_and_double([&]<class T>(Cpu<T> on) {
        for (const auto& [B, time, NH, NKV, HS, intervals] : shapes) {
            LayerCase<T> c("attention", {B, time, NH, NKV, HS, intervals});
            const int n = B * time * (NH + 2 * NKV) * HS, n_out = B * time * NH * HS;
            auto first = c.integers("first", B * time, 1 << 30);
            for (int i = 0; i < B * time; i++) first[i] %= i % time + 1;
            const auto qkv = c.draw("qkv", n), d_out = c.draw("d_out", n_out);
            std::vector<T> out(n_out), lse(B * NH * time), d_qkv(n, T(7));
            const int* from = intervals ? first.data() : nullptr;

            attention_forward(out.data(), lse.data(), qkv.data(), from, Dropout{}, {B, time, NH, NKV, HS}, on);
            c.expect("out", out, time + HS);
            c.expect("lse", lse, time + HS);

            attention_backward(d_qkv.data(), d_out.data(), out.data(), lse.data(), qkv.data(), from, Dropout{},
                               {B, time, NH, NKV, HS}, on);
            c.expect("d_qkv", d_qkv, time + HS);
        }
    });
}

TEST(sdpa, golden) {
    in_float_and_double([]<class T>(Cpu<T> on) {
        for (const auto& [B, time, S, HS, VS, masked] :
             {std::array{1, 1, 1, 1, 1, 0}, {2, 5, 7, 6, 3, 0}, {3, 6, 9, 8, 8, 1}}) {
            LayerCase<T> c("sdpa", {B, time, S, HS, VS, masked});
            const auto q = c.draw("q", B * time * HS), k = c.draw("k", B * S * HS), v = c.draw("v", B * S * VS);
            const auto d_out = c.draw("d_out", B * time * VS);
            const auto looks = c.integers("mask", time * S, 2);
            const auto mask = std::make_unique<bool[]>(size_t(time) * S);
            for (int i = 0; i < time * S; i++) mask[i] = looks[i] == 1 && i / S != 2;
            std::vector<T> out(B * time * VS), prob(B * time * S), d_q(B * time * HS), d_k(B * S * HS), d_v(B * S * VS);

            sdpa_forward(out.data(), prob.data(), q.data(), k.data(), v.data(), masked ? mask.get() : nullptr, B, time,
                         S, HS, VS, on);
            c.expect("out", out, S + HS);
            c.expect("prob", prob, S + HS);

            sdpa_backward(d_q.data(), d_k.data(), d_v.data(), d_out.data(), prob.data(), q.data(), k.data(), v.data(),
                          B, time, S, HS, VS, on);
            c.expect("d_q", d_q, S + HS);
            c.expect("d_k", d_k, S + HS);
            c.expect("d_v", d_v, S + HS);
        }
    });
}
