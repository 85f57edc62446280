#include "host/model/config.h"

#include <gtest/gtest.h>

#include <climits>
#include <limits>
#include <set>

namespace {

const Config& preset(const std::string& name) {
    const Config* c = find_preset(name);
    EXPECT_TRUE(c) << name;
    static const Config none;
    return c ? *c : none;
}

TEST(config, presets_are_possible_and_have_names_of_their_own) {
    std::set<std::string> names;
    for (const Preset& p : presets()) {
        EXPECT_TRUE(names.insert(p.name).second) << p.name;
        EXPECT_EQ(find_preset(p.name), &p.config);
        EXPECT_EQ(problems(p.config), std::vector<std::string>()) << p.name;
    }
    EXPECT_EQ(names.size(), 25u);
    EXPECT_EQ(find_preset("gpt"), nullptr);
    EXPECT_EQ(find_preset(""), nullptr);
}

// What parameter counts (dev/test/model/plan.cpp) cannot see.
TEST(config, presets_have_their_family_s_traits) {
    const Config &tiny = preset("tiny"), &baby = preset("baby"), &xl = preset("gpt2-xl"), &course = preset("cs336-xl");
    EXPECT_EQ(tiny.dropout, 0);
    EXPECT_TRUE(tiny.norm_bias && tiny.qkv_bias && tiny.tied);
    EXPECT_EQ(baby.dropout, 0.2f);
    EXPECT_FALSE(baby.norm_bias || baby.qkv_bias || baby.proj_bias || baby.ffn_bias);
    EXPECT_TRUE(xl.norm == Norm::layernorm && xl.position == Position::learned && xl.activation == Activation::gelu);
    EXPECT_TRUE(xl.init == InitScheme::gpt2 && xl.NH == 25 && xl.HS == 64);
    EXPECT_TRUE(course.norm == Norm::rmsnorm && course.position == Position::rope && course.init == InitScheme::cs336);
    EXPECT_TRUE(course.rope_pairs == RopePairs::interleaved && course.norm_eps == 1e-5f && !course.tied);

    for (const char* name : {"llama2-7b", "llama3-8b", "llama3.1-8b", "llama3.2-1b", "qwen2.5-0.5b", "qwen3-0.6b"}) {
        const Config& c = preset(name);
        EXPECT_TRUE(c.norm == Norm::rmsnorm && c.position == Position::rope && c.activation == Activation::swiglu)
            << name;
        EXPECT_TRUE(c.rope_pairs == RopePairs::half && c.init == InitScheme::plain) << name;
    }
    EXPECT_TRUE(preset("llama2-7b").rope_theta == 1e4f && preset("llama2-7b").T == 4096);
    EXPECT_TRUE(preset("llama3-8b").rope_theta == 5e5f && preset("llama3-8b").rope_scaling.factor == 1);
    EXPECT_EQ(preset("llama3.1-8b").rope_scaling.factor, 8);
    const RopeScaling& s = preset("llama3.2-1b").rope_scaling;
    EXPECT_TRUE(s.factor == 32 && s.low_frequency == 1 && s.high_frequency == 4 && s.original_context == 8192);
    for (const char* name : {"qwen2.5-1.5b", "qwen3-8b"}) {
        EXPECT_TRUE(preset(name).rope_theta == 1e6f && preset(name).norm_eps == 1e-6f) << name;
    }
    EXPECT_TRUE(preset("qwen2.5-7b").qkv_bias && !preset("qwen2.5-7b").proj_bias && !preset("qwen2.5-7b").qk_norm);
    EXPECT_TRUE(preset("qwen3-4b").qk_norm && !preset("qwen3-4b").qkv_bias && preset("qwen3-4b").T == 40960);
}

TEST(config, names_lead_to_values_and_back) {
    EXPECT_STREQ(name_of(Norm::rmsnorm), "rmsnorm");
    EXPECT_STREQ(name_of(Position::sinusoidal), "sinusoidal");
    EXPECT_STREQ(name_of(RopePairs::interleaved), "interleaved");
    EXPECT_STREQ(name_of(Activation::swiglu), "swiglu");
    EXPECT_STREQ(name_of(InitScheme::cs336), "cs336");
    EXPECT_STREQ(name_of(Recompute::block), "block");
    EXPECT_EQ(from_name<Activation>("relu"), Activation::relu);
    EXPECT_EQ(from_name<Position>("rope"), Position::rope);
    EXPECT_EQ(from_name<Norm>("RMSNorm"), std::nullopt);
    EXPECT_EQ(from_name<Norm>(""), std::nullopt);
}

TEST(config, feed_forward_follows_the_width) {
    EXPECT_EQ(default_ffn(768, Activation::gelu), 3072);
    EXPECT_EQ(default_ffn(768, Activation::swiglu), 2048);   // a multiple of 64 already
    EXPECT_EQ(default_ffn(1024, Activation::swiglu), 2752);  // 2730.7
    EXPECT_EQ(default_ffn(2560, Activation::swiglu), 6848);  // 6826.7
    EXPECT_EQ(default_ffn(1, Activation::swiglu), 64);
    EXPECT_EQ(default_ffn(INT_MAX, Activation::relu), INT_MAX);
}

struct Bad {
    const char* reason;
    void (*change)(Config&);
    int64_t batch = 1;
};

TEST(config, what_is_impossible_is_told) {
    constexpr float nan = std::numeric_limits<float>::quiet_NaN();
    const Bad table[] = {
        {"layers of 0", [](Config& c) { c.L = 0; }},
        {"layers of -1", [](Config& c) { c.L = -1; }},
        {"layers of 1000000000", [](Config& c) { c.L = 1000000000; }},
        {"context of 0", [](Config& c) { c.T = 0; }},
        {"vocabulary of 0", [](Config& c) { c.V = 0; }},
        {"vocabulary of 2147483647", [](Config& c) { c.V = INT_MAX; }},
        {"width of 0", [](Config& c) { c.C = 0; }},
        {"heads of 0", [](Config& c) { c.NH = 0; }},
        {"key/value heads of 0", [](Config& c) { c.NKV = 0; }},
        {"head size of 0", [](Config& c) { c.HS = 0; }},
        {"feed-forward width of -8", [](Config& c) { c.F = -8; }},
        {"cannot share 5", [](Config& c) { c.NKV = 5; }},
        {"cannot share 24", [](Config& c) { c.NKV = 24; }},
        {"63 is odd",
         [](Config& c) {
             c.HS = 63;
             c.position = Position::rope;
         }},
        {"dropout", [](Config& c) { c.dropout = 1; }},
        {"dropout", [](Config& c) { c.dropout = nan; }},
        {"theta", [](Config& c) { c.rope_theta = 0; }},
        {"theta", [](Config& c) { c.rope_theta = std::numeric_limits<float>::infinity(); }},
        {"epsilon", [](Config& c) { c.norm_eps = nan; }},
        {"deviation", [](Config& c) { c.init_std = -1; }},
        {"scaling", [](Config& c) { c.rope_scaling.factor = 0; }},
        {"scaling", [](Config& c) { c.rope_scaling.high_frequency = 1; }},
        {"scaling", [](Config& c) { c.rope_scaling.original_context = 0; }},
        {"RMSNorm has no bias", [](Config& c) { c.norm = Norm::rmsnorm; }},
        {"batch of 0", [](Config&) {}, 0},
        {"batch of -3", [](Config&) {}, -3},
        {"batch of 9223372036854775807", [](Config&) {}, INT64_MAX},
        {"more than 2^31 - 1", [](Config&) {}, 1 << 21},
        {"parameters; 2^42",
         [](Config& c) {
             c.L = 4096;
             c.C = 1 << 20;
         }},
    };
    for (const Bad& bad : table) {
        Config c;
        bad.change(c);
        const std::vector<std::string> found = problems(c, bad.batch);
        ASSERT_EQ(found.size(), 1u) << bad.reason;
        EXPECT_NE(found[0].find(bad.reason), std::string::npos) << found[0];
    }
    EXPECT_TRUE(problems(Config{}, (1 << 21) - 1).empty());
    Config odd;
    odd.HS = 63;
    EXPECT_TRUE(problems(odd).empty());  // odd heads are fine where nothing is rotated
    odd.T = 0, odd.C = 0, odd.dropout = 2;
    EXPECT_EQ(problems(odd).size(), 3u);
}

}  // namespace
