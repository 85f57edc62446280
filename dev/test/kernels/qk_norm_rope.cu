// Checks kernels/qk_norm_rope.cuh.      ./test_gpt --gtest_filter='qk_norm_rope*'
#include "harness.h"
#include "kernels/qk_norm_rope.cuh"

namespace {

template <class Real>
void check_qk_norm_rope(RopePairs pairs, int N, int NH, int NKV, int HS) {
    const int T = 50;
    Case<Real> c("qk_norm_rope",
                 {{"interleaved", pairs == RopePairs::interleaved}, {"N", N}, {"NH", NH}, {"NKV", NKV}, {"HS", HS}});
    const size_t n = size_t(N) * (NH + 2 * NKV) * HS;
    auto inp = c.template random<Real>("inp", n), out = c.template fresh<Real>("out", n);
    auto q_weight = c.template random<Real>("q_weight", HS), k_weight = c.template random<Real>("k_weight", HS);
    auto rstd = c.template fresh<float>("rstd", size_t(N) * (NH + NKV));
    auto position = c.integers("position", N, T);
    // Any linear map will do.
    auto cos = c.template random<float>("cos", T * HS / 2), sin = c.template random<float>("sin", T * HS / 2);
    c.run([&](auto on) {
        qk_norm_rope_forward(out(on), rstd(on), inp(on), q_weight(on), k_weight(on), position(on), cos(on), sin(on),
                             pairs, 1e-6f, N, NH, NKV, HS, on);
    });
    c.expect(out, HS);
    c.expect(rstd, HS);

    c.share(rstd);
    auto d_out = c.template random<Real>("d_out", n), d_inp = c.template fresh<Real>("d_inp", n);
    auto d_q = c.template random<float>("d_q_weight", HS), d_k = c.template random<float>("d_k_weight", HS);
    c.run([&](auto on) {
        qk_norm_rope_backward(d_inp(on), d_q(on), d_k(on), d_out(on), inp(on), q_weight(on), k_weight(on), rstd(on),
                              position(on), cos(on), sin(on), pairs, N, NH, NKV, HS, on);
        qk_norm_rope_backward(d_out(on), d_q(on), d_k(on), d_out(on), inp(on), q_weight(on), k_weight(on), rstd(on),
                              position(on), cos(on), sin(on), pairs, N, NH, NKV, HS, on);
    });
    c.expect(d_inp, HS);
    c.expect(d_out, HS);
    c.expect(d_q, 2 * N * NH);
    c.expect(d_k, 2 * N * NKV);
}

TEST(qk_norm_rope, kernels) {
    struct Shape {
        int N, NH, NKV, HS;
    };
    for (RopePairs pairs : {RopePairs::half, RopePairs::interleaved})
        for (auto [N, NH, NKV, HS] : std::vector<Shape>{{1, 1, 1, 2},
                                                        {7, 3, 1, 6},
                                                        {33, 4, 2, 48},
                                                        {90, 16, 8, 128},
                                                        {100, 4, 1, 128},
                                                        {3, 2, 1, 254},
                                                        {3, 2, 1, 256}}) {
            check_qk_norm_rope<float>(pairs, N, NH, NKV, HS);
            check_qk_norm_rope<bf16>(pairs, N, NH, NKV, HS);
        }
}

// Rows of heads are counted in an int: what would not fit is refused, what just fits is not.
TEST(qk_norm_rope, limits) {
    const auto is_taken = [](int N, int NH, int NKV, int HS) {
        bool taken = false;
        try {
            by_paired_head(N, NH + 2 * NKV, HS, RopePairs::half, {}, [&](auto...) { taken = true; });
        } catch (const Error&) {}
        return taken;
    };
    EXPECT_TRUE(is_taken(1 << 28, 2, 1, 64));
    EXPECT_FALSE(is_taken((1 << 28) + 1, 2, 1, 64));
    EXPECT_TRUE(is_taken(1, 2, 1, qk_norm_max));
    EXPECT_FALSE(is_taken(1, 2, 1, qk_norm_max + 2));
    const auto refuses = [](int N, int NH, int NKV) {
        bf16* none = nullptr;
        float* numbers = nullptr;
        EXPECT_THROW(qk_norm_rope_forward(none, numbers, none, none, none, nullptr, numbers, numbers, RopePairs::half,
                                          1e-6f, N, NH, NKV, 64, Gpu<bf16>()),
                     Error);
        EXPECT_THROW(qk_norm_rope_backward(none, numbers, numbers, none, none, none, none, numbers, nullptr, numbers,
                                           numbers, RopePairs::half, N, NH, NKV, 64, Gpu<bf16>()),
                     Error);
    };
    refuses((1 << 28) + 1, 2, 1);
    refuses((1 << 28) + 1, 0, 2);
}

}  // namespace
