// Checks kernels/attention_hopper_backward.cuh.      ./test_gpt --gtest_filter='attention_hopper_backward*'
#include "harness.h"
#include "kernels/attention.cuh"
#include "kernels/attention_hopper_backward.cuh"

namespace {

enum class Mask { causal, documents, window, alone };

std::vector<int> first_keys(Mask mask, int B, int TT) {
    std::vector<int> first(size_t(B) * TT);
    std::mt19937 random(3);
    for (int b = 0; b < B; b++)
        for (int t = 0, start = 0; t < TT; t++) {
            if (random() % 23 == 0) start = t;
            first[size_t(b) * TT + t] = mask == Mask::documents ? start : std::max(0, t + 1 - (mask == Mask::window ? 34 : 1));
        }
    return first;
}

// From out and lse as the reference has them.
template <class Query, class Key>
void check(const AttentionHead& at, Mask mask) {
    Case<bf16> c("attention_hopper_backward",
                 {{"B", at.B}, {"T", at.T}, {"NH", at.NH}, {"NKV", at.NKV}, {"HS", at.HS}, {"mask", long(mask)}});
    const size_t rows = size_t(at.B) * at.T;
    auto qkv = c.random<bf16>("qkv", rows * at.row()), out = c.fresh<bf16>("out", rows * at.out_row());
    auto lse = c.fresh<float>("lse", rows * at.NH), delta = c.fresh<float>("delta", rows * at.NH);
    auto first = c.values("first", first_keys(mask, at.B, at.T));
    const auto keys = [&](const auto& on) { return mask == Mask::causal ? nullptr : first(on); };
    attention_forward(out(c.cpu), lse(c.cpu), qkv(c.cpu), keys(c.cpu), {}, at.B, at.T, at.NH, at.NKV, at.HS, c.cpu);
    c.share(out), c.share(lse);
    auto d_out = c.random<bf16>("d_out", rows * at.out_row()), d_qkv = c.fresh<bf16>("d_qkv", rows * at.row());
    c.run([&](auto on) {
        if constexpr (std::is_same_v<decltype(on), Gpu<bf16>>) {
            if (getenv("TODAY")) attention_tensor_backward(d_qkv(on), delta(on), d_out(on), out(on), lse(on), qkv(on), keys(on), {}, at, on); else
            attention_hopper_backward_side<Query>(d_qkv(on), delta(on), d_out(on), out(on), lse(on), qkv(on), keys(on), at, on);
            if (!getenv("TODAY")) attention_hopper_backward_side<Key>(d_qkv(on), delta(on), d_out(on), out(on), lse(on), qkv(on), keys(on), at, on);
        } else
            attention_backward(d_qkv(on), d_out(on), out(on), lse(on), qkv(on), keys(on), {}, at.B, at.T, at.NH, at.NKV, at.HS, on);
    });
    c.expect(d_qkv, at.T * (at.NH / at.NKV) + at.HS, {1, size_t(at.HS)});
}

using Q64a = AttentionHopperBackward<64, Owns::queries, 128>;
using Q64b = AttentionHopperBackward<64, Owns::queries, 64, false, true>;
using K64a = AttentionHopperBackward<64, Owns::keys, 64>;
using K64b = AttentionHopperBackward<64, Owns::keys, 64, false>;
using Q128a = AttentionHopperBackward<128, Owns::queries, 64>;
using K128a = AttentionHopperBackward<128, Owns::keys, 64>;

TEST(attention_hopper_backward, causal64) {
    for (int T : {1, 64, 65, 126, 129, 200, 300}) check<Q64a, K64a>({1, T, 2, 2, 64}, Mask::causal);
}
TEST(attention_hopper_backward, causal64b) {
    for (int T : {1, 64, 65, 126, 129, 200, 300}) check<Q64b, K64b>({1, T, 2, 2, 64}, Mask::causal);
}
TEST(attention_hopper_backward, causal128) {
    for (int T : {1, 64, 65, 126, 129, 200, 300}) check<Q128a, K128a>({1, T, 2, 2, 128}, Mask::causal);
}
TEST(attention_hopper_backward, first) {
    for (Mask mask : {Mask::documents, Mask::window, Mask::alone}) {
        check<Q64a, K64a>({2, 200, 4, 2, 64}, mask);
        check<Q64b, K64b>({2, 200, 4, 2, 64}, mask);
        check<Q128a, K128a>({2, 200, 2, 1, 128}, mask);
    }
}

}  // namespace
