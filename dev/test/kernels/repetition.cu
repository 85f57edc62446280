// Checks kernels/repetition.cuh.      ./test_gpt --gtest_filter='repetition*'
#include "harness.h"
#include "kernels/repetition.cuh"

namespace {

template <class T>
void check_repetition(int B, int V, int P) {
    Case<T> c("repetition", {{"B", B}, {"V", V}, {"P", P}});
    auto logits = c.template random<T>("logits", size_t(B) * P, 3);
    auto token = c.integers("token", B, V);
    std::vector<unsigned char> before(size_t(B) * V);
    for (size_t i = 0; i < before.size(); i++) before[i] = i % 5 == 2;
    auto seen = c.values("seen", before);
    c.run([&](auto on) { repetition_forward(logits(on), seen(on), token(on), 1.3f, B, V, P, on); });
    c.expect(logits, 1);
    c.expect(seen, 0);
}

TEST(repetition, kernels) {
    struct Shape {
        int B, V, P;
    };
    for (auto [B, V, P] : std::vector<Shape>{{1, 1, 1}, {3, 65, 128}, {2, 1000, 1024}}) {
        check_repetition<float>(B, V, P);
        check_repetition<bf16>(B, V, P);
    }
}

TEST(repetition, by_hand) {
    std::vector<float> logits = {4, -2, 1, 8};
    std::vector<unsigned char> seen = {1, 0, 0};
    const int token = 1;
    repetition_forward(logits.data(), seen.data(), &token, 2.0f, 1, 3, 4, Cpu<float>());
    EXPECT_EQ(logits, (std::vector<float>{2, -4, 1, 8}));
    EXPECT_EQ(seen, (std::vector<unsigned char>{1, 1, 0}));
}

}  // namespace
