// Checks kernels/qk_norm.cuh.      ./test_gpt --gtest_filter='qk_norm.*'
#include "harness.h"
#include "kernels/qk_norm.cuh"

namespace {

template <class T>
void check_qk_norm(int N, int NH, int NKV, int HS) {
    Case<T> c("qk_norm", {{"N", N}, {"NH", NH}, {"NKV", NKV}, {"HS", HS}});
    const size_t n = size_t(N) * (NH + 2 * NKV) * HS;
    auto inp = c.template random<T>("inp", n), out = c.template fresh<T>("out", n);
    auto q_weight = c.template random<T>("q_weight", HS), k_weight = c.template random<T>("k_weight", HS);
    auto rstd = c.template fresh<float>("rstd", size_t(N) * (NH + NKV));
    c.run([&](auto on) {
        qk_norm_forward(out(on), rstd(on), inp(on), q_weight(on), k_weight(on), 1e-6f, N, NH, NKV, HS, on);
    });
    c.expect(out, HS);
    c.expect(rstd, HS);

    c.share(rstd);
    auto d_out = c.template random<T>("d_out", n), d_inp = c.template fresh<T>("d_inp", n);
    auto d_q = c.template random<float>("d_q_weight", HS), d_k = c.template random<float>("d_k_weight", HS);
    c.run([&](auto on) {
        qk_norm_backward(d_inp(on), d_q(on), d_k(on), d_out(on), inp(on), q_weight(on), k_weight(on), rstd(on), N, NH,
                         NKV, HS, on);
        qk_norm_backward(d_out(on), d_q(on), d_k(on), d_out(on), inp(on), q_weight(on), k_weight(on), rstd(on), N, NH,
                         NKV, HS, on);
    });
    c.expect(d_inp, HS);
    c.expect(d_out, HS);
    c.expect(d_q, 2 * N * NH);
    c.expect(d_k, 2 * N * NKV);
}

TEST(qk_norm, kernels) {
    struct Shape {
        int N, NH, NKV, HS;
    };
    for (auto [N, NH, NKV, HS] : std::vector<Shape>{{1, 1, 1, 1},
                                                    {7, 3, 1, 6},
                                                    {33, 4, 2, 40},
                                                    {5, 8, 8, 64},
                                                    {90, 16, 8, 128},
                                                    {100, 4, 1, 128},
                                                    {3, 2, 1, 251},
                                                    {3, 2, 1, 256}}) {
        check_qk_norm<float>(N, NH, NKV, HS);
        check_qk_norm<bf16>(N, NH, NKV, HS);
    }
}

TEST(qk_norm, limit) {
    const Gpu<bf16> on;
    bf16* none = nullptr;
    EXPECT_THROW(qk_norm_forward(none, static_cast<float*>(nullptr), none, none, none, 1e-6f, 1, 1, 1, 257, on), Error);
}

}  // namespace
