// Checks kernels/attention_hopper_backward.cuh.      ./test_gpt --gtest_filter='hopper_backward*'
#include "harness.h"
#include "kernels/attention.cuh"
#include "masks.h"

namespace {

// From out and lse as the reference has them.
void check(const AttentionHead& at, Mask mask) {
    Case<bf16> c("attention_hopper_backward",
                 {{"B", at.B}, {"T", at.T}, {"NH", at.NH}, {"NKV", at.NKV}, {"HS", at.HS}, {"mask", long(mask)}});
    const size_t rows = size_t(at.B) * at.T;
    auto qkv = c.random<bf16>("qkv", rows * at.row()), out = c.fresh<bf16>("out", rows * at.out_row());
    auto lse = c.fresh<float>("lse", rows * at.NH);
    auto first = c.values("first", first_keys(mask, at.B, at.T));
    const auto keys = [&](const auto& on) { return mask == Mask::causal ? nullptr : first(on); };
    attention_forward(out(c.cpu), lse(c.cpu), qkv(c.cpu), keys(c.cpu), {}, at, c.cpu);
    c.share(out), c.share(lse);
    auto d_out = c.random<bf16>("d_out", rows * at.out_row()), d_qkv = c.fresh<bf16>("d_qkv", rows * at.row());
    bool taken = true;
    c.run([&](auto on) {
        if constexpr (std::is_same_v<decltype(on), Gpu<bf16>>)
            taken = attention_hopper_backward(d_qkv(on), on.template scratch<float>(rows * at.NH), d_out(on), out(on),
                                              lse(on), qkv(on), keys(on), {}, at, on) &&
                    taken;
        else attention_backward(d_qkv(on), d_out(on), out(on), lse(on), qkv(on), keys(on), {}, at, on);
    });
    EXPECT_TRUE(taken);
    c.expect(d_qkv, at.T * (at.NH / at.NKV) + at.HS, {1, size_t(at.HS)});
}

using hopper_backward = OnHopper;

// Around the edges of a warp's rows, a group's, a block's and a pair of blocks.
TEST_F(hopper_backward, causal) {
    for (const int HS : {64, 128})
        for (const int T : {1, 15, 64, 65, 126, 127, 129, 200, 257, 300}) check({1, T, 2, 2, HS}, Mask::causal);
}

// A little of all, for ThreadSanitizer (dev/mutants).
TEST_F(hopper_backward, small) {
    for (const int HS : {64, 128}) check({3, 140, 1, 1, HS}, Mask::causal);
}

// Queries that do not see all before them; two query heads to a key's.
TEST_F(hopper_backward, first) {
    for (const int HS : {64, 128})
        for (const Mask mask : all_masks) {
            check({2, 200, 2, 1, HS}, mask);
            check({1, 129, 4, 2, HS, 3}, mask);
        }
}

// A block of threads that has many blocks of rows: more than a GPU's multiprocessors.
TEST_F(hopper_backward, many_blocks) {
    for (const int HS : {64, 128}) {
        const int sm_count = Gpu<bf16>().sm_count;
        check({sm_count + 1, 260, 2, 1, HS}, Mask::causal);
        check({2 * sm_count + 1, 20, 1, 1, HS}, Mask::causal);
    }
}

// What these kernels do not do, they leave to others.
TEST_F(hopper_backward, leaves) {
    const auto done = [](const Dropout& drop, int HS, const Gpu<bf16>& on) {
        return attention_hopper_backward(nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, drop,
                                         {1, 1, 1, 1, HS}, on);
    };
    Gpu<bf16> on, another, distrusted;
    for (const int HS : {8, 32, 48, 72, 80, 96, 120, 256}) EXPECT_FALSE(done({}, HS, on)) << HS;
    EXPECT_FALSE(done({0.5f, 1, nullptr}, 64, on));
    another.capability = 100;
    EXPECT_FALSE(done({}, 64, another));
    distrusted.distrust(Kernels::attention_hopper_backward);
    EXPECT_FALSE(done({}, 64, distrusted));
}

}  // namespace
