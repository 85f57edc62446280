// Checks kernels/sdpa.cuh.      ./test_gpt --gtest_filter='sdpa*'
#include "harness.h"
#include "kernels/sdpa.cuh"

namespace {

enum class Mask { none, some };

template <class Real>
void check_sdpa(int B, int T, int S, int HS, int VS, Mask has) {
    Case<Real> c("sdpa", {{"B", B}, {"T", T}, {"S", S}, {"HS", HS}, {"VS", VS}, {"mask", has == Mask::some}});
    auto q = c.template random<Real>("q", size_t(B) * T * HS), k = c.template random<Real>("k", size_t(B) * S * HS);
    auto v = c.template random<Real>("v", size_t(B) * S * VS), out = c.template fresh<Real>("out", size_t(B) * T * VS);
    auto prob = c.template fresh<Real>("prob", size_t(B) * T * S);
    auto mask = c.template generate<bool>("mask", size_t(T) * S, [=](size_t i) {
        return i * 2654435761 % 7 < 4 && i / S != size_t(T) / 2;  // one row sees nothing
    });
    c.run([&](auto on) {
        sdpa_forward(out(on), prob(on), q(on), k(on), v(on), has == Mask::some ? mask(on) : nullptr, B, T, S, HS, VS,
                     on);
    });
    c.expect(out, S + HS);
    c.expect(prob, S + HS);

    c.share(prob);
    auto d_out = c.template random<Real>("d_out", out.n), d_q = c.template fresh<Real>("d_q", q.n),
         d_k = c.template fresh<Real>("d_k", k.n);
    auto d_v = c.template fresh<Real>("d_v", v.n);
    c.run([&](auto on) {
        sdpa_backward(d_q(on), d_k(on), d_v(on), d_out(on), prob(on), q(on), k(on), v(on), B, T, S, HS, VS, on);
    });
    c.expect(d_q, S + VS);
    c.expect(d_k, T + VS);
    c.expect(d_v, T);
}

TEST(sdpa, kernels) {
    struct Shape {
        int B, T, S, HS, VS;
    };
    for (auto [B, T, S, HS, VS] : std::vector<Shape>{
             {1, 1, 1, 1, 1}, {2, 7, 9, 6, 5}, {3, 16, 40, 64, 64}, {1, 5, 300, 16, 130}, {1, 3, 5, 150, 40}}) {
        check_sdpa<float>(B, T, S, HS, VS, Mask::none);
        check_sdpa<float>(B, T, S, HS, VS, Mask::some);
        check_sdpa<bf16>(B, T, S, HS, VS, Mask::some);
    }
}

}  // namespace
