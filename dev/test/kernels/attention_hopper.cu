// Checks kernels/attention_hopper.cuh.      ./test_gpt --gtest_filter='attention_hopper*'
#include "harness.h"
#include "kernels/attention.cuh"
#include "kernels/attention_hopper.cuh"
#include "masks.h"

namespace {

using attention_hopper = OnHopper;

struct Shape {
    int B, T, NH, NKV, divisor = 1;
};

// Of these kernels and no others: nothing else is trusted to.
template <class Values>
void check_forward(const Shape& s, int HS, Mask mask, Values values) {
    const auto [B, T, NH, NKV, divisor] = s;
    Case<bf16> c("attention_hopper", {{"B", B}, {"T", T}, {"NH", NH}, {"NKV", NKV}, {"HS", HS}, {"mask", long(mask)}});
    const size_t rows = size_t(B) * T;
    auto qkv = values(c, rows * (NH + 2 * NKV) * HS);
    auto out = c.fresh<bf16>("out", rows * NH * HS);
    auto lse = c.fresh<float>("lse", rows * NH);
    auto first = c.values("first", first_keys(mask, B, T));
    const AttentionHead at{B, T, NH, NKV, HS, divisor};
    bool taken = true;
    c.run([&](auto on) {
        const int* const keys = mask == Mask::causal ? nullptr : first(on);
        if constexpr (std::is_same_v<decltype(on), Gpu<bf16>>)
            taken = attention_hopper_forward(out(on), lse(on), qkv(on), keys, {}, at, on) && taken;
        else attention_forward(out(on), lse(on), qkv(on), keys, {}, at, on);
    });
    EXPECT_TRUE(taken);
    c.expect(out, T + HS, {1, size_t(HS)});
    c.expect(lse, T + HS);
}

const auto normal = [](auto& c, size_t n) { return c.template random<bf16>("qkv", n); };

// Around the edges of tiles, which are 128 queries (64 a group) and 128 keys; query heads that share keys.
TEST_F(attention_hopper, forward) {
    for (const int HS : {64, 128})
        for (const Mask mask : all_masks)
            for (const Shape& s : std::initializer_list<Shape>{
                     {1, 1, 1, 1}, {2, 63, 2, 1}, {1, 65, 2, 2, 3}, {1, 129, 4, 2}, {1, 300, 2, 1}})
                check_forward(s, HS, mask, normal);
}

// More tiles than a GPU has places for blocks, so that blocks go from tile to tile; and a ring gone around many times.
TEST_F(attention_hopper, many_tiles) {
    const int heads = (Gpu<bf16>().sm_count + 1) / 2;
    for (const int HS : {64, 128}) {
        check_forward({3, 257, heads, heads}, HS, Mask::documents, normal);
        check_forward({1, 900, 1, 1}, HS, Mask::causal, normal);
    }
}

// Scores that grow from tile of keys to tile, beyond what the first ones' base allows: all is done again.
TEST_F(attention_hopper, scores_beyond_the_base) {
    for (const int HS : {64, 128})
        for (const Mask mask : {Mask::causal, Mask::documents, Mask::wide_window})
            check_forward({2, 400, 3, 1}, HS, mask, [&](auto& c, size_t n) {
                std::mt19937 random(5);
                std::normal_distribution<float> normal;
                const int row = 5 * HS;
                return c.template generate<bf16>("qkv", n, [&, row](size_t i) {
                    const int head = int(i % row) / HS, t = int(i / row) % 400;
                    const float x = normal(random);
                    return head < 3 ? 4 + x : head == 3 ? (t < 128 ? 0 : float(t / 64)) + 0.1f * x : x;
                });
            });
}

// Huge scores of both signs: probabilities of nearly 0 and 1.
TEST_F(attention_hopper, large_scores) {
    for (const int HS : {64, 128})
        check_forward({1, 300, 2, 1}, HS, Mask::causal,
                      [](auto& c, size_t n) { return c.template random<bf16>("qkv", n, 20); });
}

TEST_F(attention_hopper, others_are_left_to_others) {
    Gpu<bf16> on;
    bf16* none = nullptr;
    const auto does = [&](const Dropout& drop, int HS) {
        return attention_hopper_forward(none, nullptr, none, nullptr, drop, {1, 1, 1, 1, HS}, on);
    };
    EXPECT_FALSE(does({}, 80));
    EXPECT_FALSE(does({0.5f, 0, nullptr}, 64));
    on.distrust(Kernels::attention_hopper_forward);
    EXPECT_FALSE(does({}, 64));
}

// Every tile of queries comes once, whichever heads run together, with the keys that it sees.
TEST(attention_tiles, once_each) {
    const AttentionHead at{3, 300, 4, 2, 64};
    for (const int at_once : {2, 4, 8, 12}) {
        const AttentionTiles tiles{12, at_once, 3};
        std::vector<int> seen(36);
        for (int i = 0; i < tiles.count(); i++) {
            const AttentionHopperTile tile = tiles.at<64>(i, at, nullptr);
            seen.at((tile.b * 4 + tile.h) * 3 + tile.t0 / 128)++;
            EXPECT_EQ(tile.key_head, 4 + tile.h / 2);
            EXPECT_EQ(tile.value_head, 6 + tile.h / 2);
            EXPECT_EQ(tile.steps, tile.t0 / 128 + 1);
        }
        EXPECT_EQ(seen, std::vector<int>(36, 1));
    }
}

}  // namespace
