// Checks kernels/embedding.cuh and the sort it uses.      ./test_gpt --gtest_filter='embedding*'
#include <algorithm>
#include <numeric>
#include "harness.h"
#include "kernels/embedding.cuh"

namespace {

// How often tokens repeat decides which paths backward takes.
enum class Tokens { any, few, one };

template <class Real>
void check_embedding(int B, int T, int C, int V, Tokens tokens) {
    const int N = B * T;
    Case<Real> c("embedding", {{"B", B}, {"T", T}, {"C", C}, {"V", V}, {"tokens", long(tokens)}});
    auto token = c.integers("token", N, tokens == Tokens::any ? V : tokens == Tokens::few ? std::min(V, 3) : 1);
    std::vector<int> positions(N);
    for (int n = 0; n < N; n++) positions[n] = n % T;
    auto position = c.values("position", positions);
    auto wte = c.template random<Real>("wte", size_t(V) * C), wpe = c.template random<Real>("wpe", size_t(T) * C);
    auto out = c.template fresh<Real>("out", size_t(N) * C), word = c.template fresh<Real>("word", size_t(N) * C);
    c.run([&](auto on) {
        embedding_forward(out(on), token(on), position(on), wte(on), wpe(on), N, C, on);
        embedding_forward(word(on), token(on), position(on), wte(on), decltype(wte(on))(nullptr), N, C, on);
    });
    c.expect(out, 1);
    c.expect(word, 0);

    auto d_out = c.template random<Real>("d_out", size_t(N) * C);
    auto d_wte = c.template random<float>("d_wte", size_t(V) * C),
         d_wpe = c.template random<float>("d_wpe", size_t(T) * C);
    auto d_word = c.template random<float>("d_word", size_t(V) * C);
    c.run([&](auto on) {
        embedding_backward(d_wte(on), d_wpe(on), d_out(on), token(on), position(on), N, C, V, T, on);
        embedding_backward(d_word(on), decltype(d_word(on))(nullptr), d_out(on), token(on), position(on), N, C, V, T,
                           on);
    });
    c.expect(d_wte, tokens == Tokens::any ? 10 + N / V : N);
    c.expect(d_word, tokens == Tokens::any ? 10 + N / V : N);
    c.expect(d_wpe, B);
}

TEST(embedding, kernels) {
    struct Shape {
        int B, T, C, V;
        Tokens tokens;
    };
    for (auto [B, T, C, V, tokens] : std::vector<Shape>{{1, 1, 1, 1, Tokens::any},
                                                        {3, 7, 72, 300, Tokens::any},
                                                        {2, 65, 33, 300, Tokens::few},
                                                        {70, 2, 8, 5, Tokens::one},
                                                        {2, 32, 16, 50257, Tokens::any},
                                                        {5, 130, 264, 65, Tokens::any}}) {
        check_embedding<float>(B, T, C, V, tokens);
        check_embedding<bf16>(B, T, C, V, tokens);
    }
}

void check_sort(int n, int range) {
    Case<float> c("sort", {{"n", n}, {"range", range}});
    auto key = c.integers("key", n, range);
    auto order = c.values("order", std::vector<int>(n, -1));
    c.run([&](auto on) {
        if constexpr (std::is_same_v<decltype(on), Gpu<float>>) {
            const int* sorted = sort_keys(key(on), range, n, on.template scratch<int>(sort_scratch(n)), on);
            CUDA(cudaMemcpyAsync(order(on), sorted, n * sizeof(int), cudaMemcpyDeviceToDevice, on.stream));
        } else {
            std::iota(order(on), order(on) + n, 0);
            std::stable_sort(order(on), order(on) + n, [&](int a, int b) { return key.host[a] < key.host[b]; });
        }
    });
    c.expect(order, 0);
}

TEST(embedding, sort) {
    for (auto [n, range] :
         std::vector<std::pair<int, int>>{{1, 1}, {33, 2}, {1024, 256}, {1500, 257}, {5000, 151936}, {3000, 65536}})
        check_sort(n, range);
}

}  // namespace
