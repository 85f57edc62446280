// Philox against its authors' known answers, dropout against Philox, sampling against transformers' filters.
#include <gtest/gtest.h>
#include "host/reference/dropout.h"
#include "host/reference/sampling.h"
#include "layer_case.h"

// From Random123's kat_vectors: counter, key, answer.
TEST(philox, known_answers) {
    struct Row {
        Words counter;
        uint64_t key;
        Words answer;
    };
    const Row rows[] = {
        {{{0, 0, 0, 0}}, 0, {{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}}},
        {{{~0u, ~0u, ~0u, ~0u}}, ~0ull, {{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}}},
        {{{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}},
         0x299f31d0a4093822,
         {{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}}},
    };
    for (const Row& row : rows) {
        const Words got = philox(row.counter, row.key);
        for (int i = 0; i < 4; i++) EXPECT_EQ(got.w[i], row.answer.w[i]) << "word " << i;
    }
}

TEST(dropout, is_philox_at_the_element) {
    const Noise noise{.seed = 42, .step = 7, .row = 3};
    for (const float p : {0.0f, 0.1f, 0.5f})
        for (const auto& [N, C] : {std::array{1, 1}, {3, 5}, {65, 131}}) {
            const Dropout drop{p, 11, &noise};
            const auto inp = drawn<float>("dropout", size_t(N) * C);
            std::vector<float> out(inp.size()), d_inp(inp.size());
            dropout_forward(out.data(), inp.data(), drop, N, C, Cpu<float>());
            dropout_backward(d_inp.data(), inp.data(), drop, N, C, Cpu<float>());
            for (uint64_t i = 0; i < inp.size(); i++) {
                const uint64_t index = i + 3 * uint64_t(C);
                const uint32_t word = philox({{uint32_t(index / 4), 0, 11, 7}}, 42).w[index % 4];
                const float want = (word >> 8) < p * 0x1p24f ? 0.0f : inp[i] / (1 - p);
                ASSERT_FLOAT_EQ(out[i], want) << "p " << p << " (" << N << "," << C << ") element " << i;
                ASSERT_EQ(out[i], d_inp[i]);
            }
        }
}

// Wherever a run of factors begins, be it beyond 2^34 elements, it has the same bits as its elements one by one.
TEST(dropout, runs_are_their_elements) {
    const Noise noise{.seed = 5, .step = 9, .row = 0};
    const Dropout drop{0.3f, 4, &noise};
    for (const uint64_t first : {uint64_t(0), uint64_t(7), (uint64_t(1) << 34) - 2, uint64_t(1) << 40}) {
        std::vector<float> run(151, -1.0f);
        dropout_factors(run.data(), drop, first, 150);
        for (int i = 0; i < 150; i++) EXPECT_EQ(run[i], dropout_factor(drop, first + i)) << first << " + " << i;
        EXPECT_EQ(run[150], -1.0f);
    }
}

// The second counter word is the index's high part, and one element in 1/p is dropped.
TEST(dropout, counts) {
    const Noise noise{.seed = 1, .step = 2, .row = 0};
    const Dropout drop{0.25f, 0, &noise};
    const uint64_t far = uint64_t(1) << 40;
    for (uint32_t i = 0; i < 100; i++) {
        const float want = uniform(philox({{i / 4, 64, 0, 2}}, 1).w[i % 4]) < 0.25f ? 0.0f : 1 / 0.75f;
        EXPECT_EQ(dropout_factor(drop, far + i), want) << i;
    }
    int dropped = 0;
    for (uint64_t i = 0; i < 40000; i++) dropped += dropout_factor(drop, i) == 0;
    EXPECT_NEAR(dropped, 10000, 5 * std::sqrt(40000 * 0.25 * 0.75));
}

TEST(sampling, golden) {
    const Sampling settings[] = {{1, 1, 0, 0},     {0.5, 1, 0, 0}, {1, 1, 0, 5},  // temperature, top_p, min_p, top_k
                                 {1.5, 0.7, 0, 0}, {1, 1, 0.2, 0}, {2, 0.9, 0.1, 30}};
    in_float_and_double([&]<class T>(Cpu<T> on) {
        for (int row = 0; row < 6; row++) {
            constexpr int V = 50, P = 53, draws = 40;
            LayerCase<T> c("sampling", {V, row});
            const auto logits = c.draw("logits", V, 4);
            std::vector<T> padded(draws * P, T(100));
            std::vector<float> u;
            std::vector<int> token(draws), broken(draws, 2);
            for (int b = 0; b < draws; b++) std::ranges::copy(logits, padded.begin() + b * P);
            for (const int x : c.integers("u", draws, 1 << 20)) u.push_back(float(x) * 0x1p-20f);
            sampling_forward(token.data(), broken.data(), padded.data(), u.data(), settings[row], draws, V, P, on);
            c.expect("token", std::vector<T>(token.begin(), token.end()), 0);
            EXPECT_EQ(broken, std::vector<int>(draws));

            // Just below 1 the last of the kept tokens comes: its rank is how many there are.
            const int last = sample_row(logits.data(), settings[row], 1 - 1e-9, V);
            const auto larger = std::ranges::count_if(logits, [&](T x) { return x > logits[last]; });
            c.expect("kept", {T(larger + 1)}, 0);
        }
    });
}

TEST(sampling, greedy) {
    const float logits[] = {1, 3, 2, 3, 9};
    EXPECT_EQ(sample_row(logits, {.temperature = 0}, 0.9, 4), 1);  // the lowest id among equals; id 4 is padding
}
