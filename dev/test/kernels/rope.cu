// Checks kernels/rope.cuh.      ./test_gpt --gtest_filter='rope*'
#include "harness.h"
#include "kernels/rope.cuh"

namespace {

template <class Real>
void check_rope(RopePairs pairs, int N, int NH, int NKV, int HS) {
    const int T = 50;
    Case<Real> c("rope",
                 {{"interleaved", pairs == RopePairs::interleaved}, {"N", N}, {"NH", NH}, {"NKV", NKV}, {"HS", HS}});
    const size_t n = size_t(N) * (NH + 2 * NKV) * HS;
    auto qkv = c.template random<Real>("qkv", n), d_qkv = c.template random<Real>("d_qkv", n);
    auto position = c.integers("position", N, T);
    std::vector<float> cos, sin;
    for (int t = 0; t < T; t++)
        for (int i = 0; i < HS / 2; i++) {
            const double angle = t * rope_frequency(i, HS, 10000, {});
            cos.push_back(float(std::cos(angle)));
            sin.push_back(float(std::sin(angle)));
        }
    auto cosines = c.values("cos", cos), sines = c.values("sin", sin);
    c.run([&](auto on) {
        rope_forward(qkv(on), position(on), cosines(on), sines(on), pairs, N, NH, NKV, HS, on);
        rope_backward(d_qkv(on), position(on), cosines(on), sines(on), pairs, N, NH, NKV, HS, on);
    });
    c.expect(qkv, 2);
    c.expect(d_qkv, 2);
}

TEST(rope, kernels) {
    struct Shape {
        int N, NH, NKV, HS;
    };
    for (RopePairs pairs : {RopePairs::half, RopePairs::interleaved})
        for (auto [N, NH, NKV, HS] : std::vector<Shape>{
                 {1, 1, 1, 2}, {7, 3, 1, 6}, {33, 4, 2, 24}, {5, 25, 25, 64}, {6, 16, 8, 128}, {3, 2, 1, 256}}) {
            check_rope<float>(pairs, N, NH, NKV, HS);
            check_rope<bf16>(pairs, N, NH, NKV, HS);
        }
}

}  // namespace
