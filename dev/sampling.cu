// Checks kernels/sampling.cuh.      ./test_gpt --gtest_filter='sampling*'
#include "../kernels/sampling.cuh"
#include "harness.h"

namespace {

// Every u between two steps of the distribution must give the reference's token; B rows try B values of u.
template <class T>
void check_sampling(int B, int V, int P, const Sampling& how, double spread) {
    Case<T> c("sampling", {{"B", B}, {"V", V}, {"P", P}, {"percent", long(100 * how.temperature)}, {"top_k", how.top_k},
                           {"top_p%", long(100 * how.top_p)}, {"min_p%", long(100 * how.min_p)}});
    auto logits = c.template random<T>("logits", size_t(B) * P, spread);
    // Ties.
    if constexpr (std::is_same_v<T, float>)
        for (size_t i = 0; i < logits.n; i += 3) logits.host[i] = std::round(logits.host[i]);
    // Padding, never picked.
    for (int b = 0; b < B; b++) for (int v = V; v < P; v++) logits.host[size_t(b) * P + v] = 100;
    c.share(logits);
    std::vector<float> values;
    for (int b = 0; b < B; b++) values.push_back(std::floor(float(b) / float(B) * 0x1p24f) * 0x1p-24f);
    auto u = c.template values<float>("u", values);
    auto token = c.integers("token", B, 1);
    c.run([&](auto on) {
        const float* uniforms = std::is_same_v<decltype(on), Gpu<T>> ? u.device : values.data();      // not doubles
        sampling_forward(token(on), logits(on), uniforms, how, B, V, P, on);
    });
    c.expect(token, 0);
}

TEST(sampling, kernels) {
    struct Shape { int B, V, P; };
    const std::vector<Sampling> hows = {{0, 1, 0, 0},         {1, 1, 0, 0},    {0.7f, 1, 0, 1},
                                        {1.5f, 1, 0, 40},     {1, 0.9f, 0, 0}, {1, 0.5f, 0.05f, 0},
                                        {0.8f, 0.95f, 0, 50}, {1, 1, 0.1f, 0}, {1, 0, 0, 0}};
    for (const Sampling& how : hows) {
        check_sampling<float>(7, 65, 128, how, 3);
        check_sampling<bf16>(3, 257, 259, how, 3);
    }
    for (auto [B, V, P] : std::vector<Shape>{{1, 1, 1}, {1, 5000, 5120}})
        for (const Sampling& how : {hows[0], hows[6]}) {
            check_sampling<float>(B, V, P, how, 3);
            check_sampling<bf16>(B, V, P, how, 3);
        }
}

}  // namespace
