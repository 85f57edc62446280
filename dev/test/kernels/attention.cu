// Checks kernels/attention.cuh.      ./test_gpt --gtest_filter='attention*'
#include "harness.h"
#include "kernels/attention.cuh"
#include "masks.h"

namespace {

struct Shape {
    int B, T, NH, NKV, HS, divisor = 1;
};

template <class Real>
void check_attention(const Shape& s, Mask mask, float dropout) {
    const int B = s.B, T = s.T, NH = s.NH, NKV = s.NKV, HS = s.HS;
    const AttentionHead at{B, T, NH, NKV, HS, s.divisor};
    Case<Real> c(
        "attention",
        {{"B", B}, {"T", T}, {"NH", NH}, {"NKV", NKV}, {"HS", HS}, {"mask", long(mask)}, {"dropout", dropout > 0}});
    c.gpu.distrust(Kernels::attention_hopper_forward);  // which have tests of their own
    c.gpu.distrust(Kernels::attention_hopper_backward);
    const size_t rows = size_t(B) * T, wide = rows * (NH + 2 * NKV) * HS, narrow = rows * NH * HS;
    auto qkv = c.template random<Real>("qkv", wide), out = c.template fresh<Real>("out", narrow);
    auto lse = c.template fresh<float>("lse", rows * NH);
    auto first = c.values("first", first_keys(mask, B, T));
    auto noise = c.values("noise", std::vector<Noise>{{99, 7, 12}});
    const auto keys = [&](auto on) { return mask == Mask::causal ? nullptr : first(on); };
    c.run([&](auto on) { attention_forward(out(on), lse(on), qkv(on), keys(on), {dropout, 4, noise(on)}, at, on); });
    c.expect(out, T + HS, {1, size_t(HS)});
    c.expect(lse, T + HS);

    c.share(out);
    c.share(lse);
    auto d_out = c.template random<Real>("d_out", narrow), d_qkv = c.template fresh<Real>("d_qkv", wide);
    c.run([&](auto on) {
        attention_backward(d_qkv(on), d_out(on), out(on), lse(on), qkv(on), keys(on), {dropout, 4, noise(on)}, at, on);
    });
    c.expect(d_qkv, T * (NH / NKV) + HS, {1, size_t(HS)});
}

const std::vector<Shape> shapes = {{1, 1, 1, 1, 1},   {2, 7, 2, 1, 6},    {1, 33, 3, 3, 20},  {2, 70, 4, 2, 64},
                                   {1, 65, 2, 1, 80}, {1, 40, 2, 1, 128}, {1, 35, 2, 2, 200}, {1, 20, 1, 1, 256}};

TEST(attention, causal) {
    for (const Shape& s : shapes) {
        check_attention<float>(s, Mask::causal, 0);
        check_attention<bf16>(s, Mask::causal, 0);
    }
}

TEST(attention, first) {
    for (const Shape& s : {shapes[1], shapes[2], shapes[3], shapes[5], shapes[6]})
        for (Mask mask : {Mask::documents, Mask::window}) {
            check_attention<float>(s, mask, 0);
            check_attention<bf16>(s, mask, 0);
        }
}

// Scores divided by more than sqrt(HS), on all kernels: plain, and on tensor cores with dropout and without.
TEST(attention, divisor) {
    for (const float dropout : {0.0f, 0.3f}) {
        check_attention<float>({1, 40, 2, 1, 20, 3}, Mask::causal, dropout);
        for (const int HS : {20, 64, 256}) check_attention<bf16>({1, 70, 2, 1, HS, 3}, Mask::causal, dropout);
    }
}

TEST(attention, dropout) {
    for (const Shape& s : {shapes[1], shapes[2], shapes[3], shapes[7]}) {
        check_attention<float>(s, Mask::causal, 0.3f);
        check_attention<bf16>(s, Mask::documents, 0.3f);
    }
}

// On tensor cores, in heads as wide as their tiles and narrower ones, around the edges of the tiles. 129 keys are not a
// multiple of 4: a row of random words is longer.
TEST(attention, tensor_dropout) {
    const Shape cases[] = {{1, 129, 2, 1, 64}, {2, 37, 2, 2, 32},  {1, 70, 3, 1, 48}, {1, 150, 2, 2, 128},
                           {1, 33, 2, 1, 256}, {1, 131, 1, 1, 24}, {1, 35, 2, 1, 200}};
    for (const Shape& s : cases)
        for (Mask mask : {Mask::causal, Mask::documents, Mask::window}) check_attention<bf16>(s, mask, 0.3f);
    check_attention<bf16>({1, 200, 1, 1, 64}, Mask::wide_window, 0.9f);
}

// Head sizes between those that have kernels of their own.
TEST(attention, tensor_between) {
    for (int HS : {8, 40, 56, 72, 120, 136, 248})
        for (Mask mask : {Mask::causal, Mask::documents}) check_attention<bf16>({1, 67, 2, 1, HS}, mask, 0);
}

// The sizes that the tensor cores do, around the edges of their tiles.
TEST(attention, tensor) {
    const Shape cases[] = {{1, 1, 1, 1, 64},   {2, 129, 2, 1, 64}, {1, 128, 1, 1, 80},
                           {1, 257, 3, 3, 96}, {1, 31, 4, 1, 128}, {1, 160, 2, 1, 128},
                           {1, 130, 2, 1, 32}, {1, 129, 1, 1, 48}, {1, 130, 1, 1, 256}};
    for (const Shape& s : cases)
        for (Mask mask : {Mask::causal, Mask::documents, Mask::window, Mask::alone}) check_attention<bf16>(s, mask, 0);
    check_attention<bf16>({1, 200, 1, 1, 64}, Mask::wide_window, 0);
    check_attention<bf16>({1, 200, 1, 1, 128}, Mask::wide_window, 0);
    check_attention<bf16>({1, 200, 1, 1, 256}, Mask::wide_window, 0);
}

// Scores beyond exp's range: the running maximum must grow tile by tile, and shrink what was summed.
template <class Real>
void check_large_scores(int HS) {
    const int T = 200;
    Case<Real> c("attention", {{"T", T}, {"HS", HS}});
    c.gpu.distrust(Kernels::attention_hopper_forward);
    std::vector<Real> values;
    for (int t = 0; t < T; t++)
        for (int i = 0; i < 3 * HS; i++)
            values.push_back(i < HS ? 10.0f : i < 2 * HS ? (t % 2 ? 0.2f * float(t) : -3.0f) : float((t * 7 + i) % 5));
    auto qkv = c.template values<Real>("qkv", values), out = c.template fresh<Real>("out", T * HS);
    auto lse = c.template fresh<float>("lse", T);
    c.run([&](auto on) {
        attention_forward(out(on), lse(on), qkv(on), static_cast<int*>(nullptr), {}, {1, T, 1, 1, HS}, on);
    });
    c.expect(out, 100, {1, size_t(HS)});
    c.expect(lse, 100);
}
TEST(attention, large_scores) {
    check_large_scores<float>(16);
    check_large_scores<bf16>(64);
}

TEST(attention, limit) {
    const Gpu<bf16> on;
    bf16* none = nullptr;
    EXPECT_THROW(attention_forward(none, static_cast<float*>(nullptr), none, nullptr, {}, {1, 1, 1, 1, 257}, on),
                 Error);
}

}  // namespace
