// Checks kernels/attention_decode.cuh.      ./test_gpt --gtest_filter='attention_decode*'
#include "harness.h"
#include "kernels/attention.cuh"
#include "kernels/attention_decode.cuh"

namespace {

struct Shape {
    int S, NH, NKV, HS, divisor = 1, window = 0;
};

template <class T>
void check_decode(const Shape& s, const std::vector<int>& positions, double spread = 1) {
    const int S = s.S, NH = s.NH, NKV = s.NKV, HS = s.HS;
    const int B = int(positions.size());
    Case<T> c("attention_decode", {{"B", B},
                                   {"S", S},
                                   {"NH", NH},
                                   {"NKV", NKV},
                                   {"HS", HS},
                                   {"window", s.window},
                                   {"longest", std::ranges::max(positions)}});
    const size_t cached = size_t(B) * NKV * S * HS;
    auto qkv = c.template random<T>("qkv", size_t(B) * (NH + 2 * NKV) * HS, spread);
    auto keys = c.template random<T>("keys", cached), values = c.template random<T>("values", cached);
    auto position = c.values("position", positions);
    auto out = c.template fresh<T>("out", size_t(B) * NH * HS);
    c.run([&](auto on) {
        attention_decode(out(on), keys(on), values(on), qkv(on), position(on), S,
                         {B, 1, NH, NKV, HS, s.divisor, s.window}, on);
    });
    c.expect(out, S + HS, {0, size_t(HS)});
    c.expect(keys, 0);
    c.expect(values, 0);
}

// Of one token, ragged, a model's, of several parts, all heads on one; sequences that just begin, fill a part, begin
// the next, fill the cache, have more parts than the second kernel loads at a time.
TEST(attention_decode, kernels) {
    const std::pair<Shape, std::vector<int>> cases[] = {
        {{1, 1, 1, 1}, {0}},
        {{7, 2, 1, 6}, {6, 0, 3}},
        {{130, 3, 3, 20}, {127, 128, 129}},
        {{300, 4, 2, 64}, {255, 256, 299, 0}},
        {{140, 14, 2, 64}, {139, 1}},
        {{257, 9, 1, 80}, {256}},
        {{64, 16, 8, 128}, {63, 31}},
        {{40, 10, 1, 200}, {39, 17}},
        {{150, 3, 1, 255}, {149}},
        {{20, 2, 2, 256}, {19, 4}},
        {{140, 4, 2, 64, 3}, {139, 7}},
        {{1030, 12, 12, 64}, {1029, 600}},
        {{16600, 1, 1, 8}, {16500}},
        // Windows that begin in a part, with a part, and leave parts out.
        {{300, 4, 2, 64, 1, 7}, {299, 256, 261, 6, 7, 3}},
        {{300, 4, 2, 64, 1, 1}, {299, 0, 128}},
        {{400, 3, 1, 20, 1, 144}, {399, 143, 271}},
        {{16600, 1, 1, 8, 1, 2100}, {16500}}};
    for (const auto& [shape, positions] : cases) {
        check_decode<float>(shape, positions);
        check_decode<bf16>(shape, positions);
    }
}

// Scores far beyond exp's range, of which those in one part are far above all others.
TEST(attention_decode, large_scores) {
    check_decode<float>({400, 4, 2, 64}, {399, 120}, 40);
    check_decode<bf16>({400, 4, 1, 96}, {390}, 40);
}

// A sequence's result has the same bits alone, in a batch, and in a larger cache.
template <class T>
void check_alone(int HS) {
    const Gpu<T> on;
    const int B = 3, NH = 4, NKV = 2, S = 300, larger = 700, position[B] = {299, 5, 140};
    const size_t row = size_t(NH + 2 * NKV) * HS, width = size_t(NH) * HS;
    std::mt19937 random(8);
    std::normal_distribution<float> normal;
    std::vector<T> qkv(B * row), all(B * width), alone(width);
    for (T& x : qkv) x = T(normal(random));
    const auto run = [&](T* out, const T* of, const int* at, int count, int capacity) {
        const size_t n = size_t(count) * NKV * capacity * HS;
        T *keys = on.template allocate<T>(n), *values = on.template allocate<T>(n),
          *given = on.template allocate<T>(count * row);
        T* result = on.template allocate<T>(count * width);
        int* places = on.template allocate<int>(count);
        std::vector<T> prompt(size_t(S) * row);
        for (int b = 0; b < count; b++) {
            std::mt19937 own{unsigned(at[b])};
            for (T& x : prompt) x = T(normal(own));
            T* device = on.template allocate<T>(prompt.size());
            on.upload(device, prompt.data(), prompt.size());
            const size_t begin = size_t(b) * NKV * capacity * HS;
            attention_keep(keys + begin, values + begin, device, at[b], capacity, NH, NKV, HS, on);
        }
        on.upload(given, of, count * row);
        on.upload(places, at, count);
        attention_decode(result, keys, values, given, places, capacity, {count, 1, NH, NKV, HS}, on);
        on.download(out, result, count * width);
    };
    run(all.data(), qkv.data(), position, B, S);
    for (int b = 0; b < B; b++)
        for (const int capacity : {S, larger}) {
            run(alone.data(), qkv.data() + b * row, position + b, 1, capacity);
            EXPECT_EQ(std::memcmp(alone.data(), all.data() + b * width, width * sizeof(T)), 0)
                << dtype_name<T> << ": sequence " << b << ", room for " << capacity;
        }
}
TEST(attention_decode, alone) {
    check_alone<float>(20);
    check_alone<bf16>(64);
}

template <class Real>
void check_keep(int T, const Shape& s) {
    const int S = s.S, NH = s.NH, NKV = s.NKV, HS = s.HS;
    Case<Real> c("attention_keep", {{"T", T}, {"S", S}, {"NH", NH}, {"NKV", NKV}, {"HS", HS}});
    auto qkv = c.template random<Real>("qkv", size_t(T) * (NH + 2 * NKV) * HS);
    auto keys = c.template random<Real>("keys", size_t(NKV) * S * HS),
         values = c.template random<Real>("values", size_t(NKV) * S * HS);
    c.run([&](auto on) { attention_keep(keys(on), values(on), qkv(on), T, S, NH, NKV, HS, on); });
    c.expect(keys, 0);
    c.expect(values, 0);
}
TEST(attention_decode, keep) {
    for (const auto& [T, s] :
         std::vector<std::pair<int, Shape>>{{1, {1, 1, 1, 1}}, {5, {9, 4, 2, 6}}, {70, {70, 4, 2, 64}}}) {
        check_keep<float>(T, s);
        check_keep<bf16>(T, s);
    }
}

// One step of attention over a whole text, against attention over the text as it is trained.
void check_as_attention(int window) {
    const int T = 200, NH = 6, NKV = 2, HS = 16;
    const Gpu<float> on;
    std::mt19937 random(9);
    std::normal_distribution<float> normal;
    std::vector<float> qkv(size_t(T) * (NH + 2 * NKV) * HS), want(size_t(T) * NH * HS), got(size_t(NH) * HS);
    for (float& x : qkv) x = normal(random);
    float *device = on.allocate<float>(qkv.size()), *out = on.allocate<float>(want.size()),
          *lse = on.allocate<float>(size_t(T) * NH);
    float *keys = on.allocate<float>(size_t(NKV) * T * HS), *values = on.allocate<float>(size_t(NKV) * T * HS);
    int* position = on.allocate<int>(1);
    on.upload(device, qkv.data(), qkv.size());
    std::vector<int> seen(T);
    for (int t = 0; t < T; t++) seen[t] = first_in_window(t, window);
    int* first = on.allocate<int>(T);
    on.upload(first, seen.data(), T);
    attention_forward(out, lse, device, first, {}, {1, T, NH, NKV, HS}, on);
    on.download(want.data(), out, want.size());
    const int prompt = 150;
    attention_keep(keys, values, device, prompt, T, NH, NKV, HS, on);
    for (int t = prompt; t < T; t++) {
        on.upload(position, &t, 1);
        attention_decode(out, keys, values, device + size_t(t) * (NH + 2 * NKV) * HS, position, T,
                         {1, 1, NH, NKV, HS, 1, window}, on);
        on.download(got.data(), out, got.size());
        EXPECT_EQ(mismatch(got.data(), want.data() + size_t(t) * NH * HS, got.size(), tolerance<float>(T + HS)), "")
            << "token " << t << ", window " << window;
    }
}
TEST(attention_decode, as_attention) {
    for (const int window : {0, 1, 30, 128, 160, 500}) check_as_attention(window);
}

TEST(attention_decode, limit) {
    const Gpu<bf16> on;
    bf16* none = nullptr;
    EXPECT_THROW(attention_decode(none, none, none, none, nullptr, 1, {1, 1, 1, 1, 257}, on), Error);
}

}  // namespace
