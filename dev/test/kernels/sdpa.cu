// Checks kernels/sdpa.cuh.      ./test_gpt --gtest_filter='sdpa*'
#include "harness.h"
#include "kernels/sdpa.cuh"

namespace {

enum class Mask { none, some };

template <class T>
void check_sdpa(int B, int TT, int S, int HS, int VS, Mask has) {
    Case<T> c("sdpa", {{"B", B}, {"T", TT}, {"S", S}, {"HS", HS}, {"VS", VS}, {"mask", has == Mask::some}});
    auto q = c.template random<T>("q", size_t(B) * TT * HS), k = c.template random<T>("k", size_t(B) * S * HS);
    auto v = c.template random<T>("v", size_t(B) * S * VS), out = c.template fresh<T>("out", size_t(B) * TT * VS);
    auto prob = c.template fresh<T>("prob", size_t(B) * TT * S);
    auto mask = c.template generate<bool>("mask", size_t(TT) * S, [=](size_t i) {
        return i * 2654435761 % 7 < 4 && i / S != size_t(TT) / 2;  // one row sees nothing
    });
    c.run([&](auto on) {
        sdpa_forward(out(on), prob(on), q(on), k(on), v(on), has == Mask::some ? mask(on) : nullptr, B, TT, S, HS, VS,
                     on);
    });
    c.expect(out, S + HS);
    c.expect(prob, S + HS);

    c.share(prob);
    auto d_out = c.template random<T>("d_out", out.n), d_q = c.template fresh<T>("d_q", q.n),
         d_k = c.template fresh<T>("d_k", k.n);
    auto d_v = c.template fresh<T>("d_v", v.n);
    c.run([&](auto on) {
        sdpa_backward(d_q(on), d_k(on), d_v(on), d_out(on), prob(on), q(on), k(on), v(on), B, TT, S, HS, VS, on);
    });
    c.expect(d_q, S + VS);
    c.expect(d_k, TT + VS);
    c.expect(d_v, TT);
}

TEST(sdpa, kernels) {
    struct Shape {
        int B, T, S, HS, VS;
    };
    for (auto [B, T, S, HS, VS] :
         std::vector<Shape>{{1, 1, 1, 1, 1}, {2, 7, 9, 6, 5}, {3, 16, 40, 64, 64}, {1, 5, 300, 16, 130}}) {
        check_sdpa<float>(B, T, S, HS, VS, Mask::none);
        check_sdpa<float>(B, T, S, HS, VS, Mask::some);
        check_sdpa<bf16>(B, T, S, HS, VS, Mask::some);
    }
}

}  // namespace
