// `train_gpt export`: the GGUF file against the model's own weights, by a reader of its own.
#include <fmt/core.h>
#include <cmath>
#include "dev/test/checkpoint/huggingface_case.h"
#include "dev/test/support/expect_error.h"
#include "dev/test/support/full_disk.h"
#include "dev/test/support/gguf_file.h"
#include "dev/test/support/text_search.h"
#include "host/checkpoint/checkpoint.h"
#include "host/export/gguf_model.h"
#include "host/export/gguf_writer.h"
#include "host/tokenizer/bpe.h"
#include "host/tokenizer/bpe_train.h"
#include "host/tokenizer/load_tokenizer.h"
#include "host/tokenizer/tokenizer_json.h"
#include "run_case.h"

namespace {

struct Exported {
    Temporary at;
    std::string model = at / "model", file = at / "out.gguf";

    Exported() { files::make_directories(model); }
    Outcome write(const std::vector<std::string>& more = {}) const {
        std::vector<std::string> args{"export", "--model", model, "--gguf", file};
        args.insert(args.end(), more.begin(), more.end());
        return run(args);
    }
    // Of a toy model, without a tokenizer.
    GgufFile of(const ToyModel& toy, const std::string& type = "f32") const {
        save(model, toy);
        const Outcome o = write({"--tokenizer", "none", "--type", type, "--overwrite"});
        EXPECT_EQ(o.code, Exit::done) << o.error;
        return GgufFile(file);
    }
};

std::vector<float> our_values(const ToyModel& toy, const std::string& name) {
    for (const Parameter& parameter : toy.layout().parameters)
        if (parameter.name == name) return toy.get(parameter);
    throw std::runtime_error("no parameter " + name);
}

std::vector<float> rows(const std::vector<float>& all, size_t width, const std::vector<int>& which) {
    std::vector<float> some;
    for (const int r : which) some.insert(some.end(), &all[r * width], &all[r * width] + width);
    return some;
}

// A matrix and its name in the file; its rows in their order there.
void expect_tensor(const GgufFile& file, const std::string& name, const std::vector<uint64_t>& shape,
                   const std::vector<float>& values) {
    ASSERT_TRUE(file.tensors.contains(name)) << name;
    const GgufTensor& tensor = file.tensors.at(name);
    EXPECT_EQ(tensor.shape, shape) << name;
    EXPECT_EQ(tensor.values(), values) << name;
}

std::string refusal(const Config& config) {
    try {
        gguf::architecture_of(config);
    } catch (const Error& error) {
        EXPECT_EQ(error.code, Exit::input);
        return error.what();
    }
    return "";
}

}  // namespace

TEST(export_gguf, gpt2_is_fused_and_not_transposed) {
    const ToyModel toy(toy_gpt2());
    const Config& c = toy.gpt.c;
    const GgufFile file = Exported().of(toy);
    EXPECT_EQ(file.text("general.architecture"), "gpt2");
    EXPECT_EQ(file.number("gpt2.block_count"), c.L);
    EXPECT_EQ(file.number("gpt2.context_length"), c.T);
    EXPECT_EQ(file.number("gpt2.embedding_length"), c.C);
    EXPECT_EQ(file.number("gpt2.feed_forward_length"), c.F);
    EXPECT_EQ(file.number("gpt2.attention.head_count"), c.NH);
    EXPECT_EQ(float(file.number("gpt2.attention.layer_norm_epsilon")), c.norm_eps);
    EXPECT_EQ(file.number("gpt2.vocab_size"), c.V);
    EXPECT_EQ(file.text("tokenizer.ggml.model"), "none");
    EXPECT_EQ(file.tensors.size(), 2 + 2 + 12u * c.L);  // a tied head has no tensor
    expect_tensor(file, "token_embd.weight", {8, 11}, our_values(toy, "wte"));
    expect_tensor(file, "position_embd.weight", {8, 6}, our_values(toy, "wpe"));
    expect_tensor(file, "blk.1.attn_qkv.weight", {8, 24}, our_values(toy, "h.1.qkv.weight"));
    expect_tensor(file, "blk.1.attn_qkv.bias", {24}, our_values(toy, "h.1.qkv.bias"));
    expect_tensor(file, "blk.0.attn_output.weight", {8, 8}, our_values(toy, "h.0.proj.weight"));
    expect_tensor(file, "blk.0.ffn_up.weight", {8, 10}, our_values(toy, "h.0.up.weight"));
    expect_tensor(file, "blk.0.ffn_down.weight", {10, 8}, our_values(toy, "h.0.down.weight"));
    expect_tensor(file, "blk.1.ffn_norm.bias", {8}, our_values(toy, "h.1.norm2.bias"));
    expect_tensor(file, "output_norm.weight", {8}, our_values(toy, "norm_f.weight"));
}

// What GPT-2's architecture must have and the model has not.
TEST(export_gguf, biases_and_sinusoids_are_filled_in) {
    const ToyModel toy(with(toy_gpt2(), [](Config& c) {
        c.qkv_bias = c.proj_bias = c.ffn_bias = c.norm_bias = c.tied = false;
        c.position = Position::sinusoidal;
    }));
    const GgufFile file = Exported().of(toy);
    expect_tensor(file, "blk.0.attn_qkv.bias", {24}, std::vector<float>(24));
    expect_tensor(file, "blk.1.ffn_up.bias", {10}, std::vector<float>(10));
    expect_tensor(file, "output_norm.bias", {8}, std::vector<float>(8));
    expect_tensor(file, "output.weight", {8, 11}, our_values(toy, "head"));
    std::vector<float> table;
    for (int t = 0; t < 6; t++)
        for (int i = 0; i < 8; i++) table.push_back(float(sinusoid(t, i, 8)));
    expect_tensor(file, "position_embd.weight", {8, 6}, table);
}

// llama.cpp turns neighbours: pair i of a head of 4 is (i, i + 2) here and (2i, 2i + 1) there.
TEST(export_gguf, llama_pairs_its_rows) {
    const ToyModel toy(with(toy_llama(), [](Config& c) {
        c.qkv_bias = c.proj_bias = c.ffn_bias = true;
        c.rope_scaling = {8, 1, 4, 4};
        c.rope_theta = 5e5f;
    }));
    const GgufFile file = Exported().of(toy);
    const std::vector<float> qkv = our_values(toy, "h.1.qkv.weight"), bias = our_values(toy, "h.1.qkv.bias"),
                             up = our_values(toy, "h.1.up.weight");
    EXPECT_EQ(file.text("general.architecture"), "llama");
    EXPECT_EQ(file.number("llama.attention.head_count_kv"), 2);
    EXPECT_EQ(file.number("llama.attention.key_length"), 4);
    EXPECT_EQ(file.number("llama.attention.value_length"), 4);
    EXPECT_EQ(file.number("llama.rope.dimension_count"), 4);
    EXPECT_EQ(file.number("llama.rope.freq_base"), 5e5);
    EXPECT_EQ(float(file.number("llama.attention.layer_norm_rms_epsilon")), 1e-6f);
    const std::vector<int> q = {0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15},
                           k = {16, 18, 17, 19, 20, 22, 21, 23}, v = {24, 25, 26, 27, 28, 29, 30, 31};
    expect_tensor(file, "blk.1.attn_q.weight", {8, 16}, rows(qkv, 8, q));
    expect_tensor(file, "blk.1.attn_k.weight", {8, 8}, rows(qkv, 8, k));
    expect_tensor(file, "blk.1.attn_v.weight", {8, 8}, rows(qkv, 8, v));
    expect_tensor(file, "blk.1.attn_q.bias", {16}, rows(bias, 1, q));
    expect_tensor(file, "blk.1.attn_k.bias", {8}, rows(bias, 1, k));
    expect_tensor(file, "blk.1.attn_output.bias", {8}, our_values(toy, "h.1.proj.bias"));
    expect_tensor(file, "blk.1.ffn_gate.weight", {8, 10}, {up.begin(), up.begin() + 80});
    expect_tensor(file, "blk.1.ffn_up.weight", {8, 10}, {up.begin() + 80, up.end()});
    expect_tensor(file, "output.weight", {8, 11}, our_values(toy, "head"));
    // Frequencies 1 and 1 / 707: the first turns 4 / 2 pi = 0.64 times within the context of 4, fewer than once.
    expect_tensor(file, "rope_freqs.weight", {2}, {8, 8});
    EXPECT_EQ(file.order[0], "rope_freqs.weight");
}

TEST(export_gguf, rope_factors_blend_between) {
    Config c = toy_llama();
    c.HS = 64, c.rope_theta = 5e5f, c.rope_scaling = {32, 1, 4, 8192};
    const std::vector<float> factors = gguf::rope_factors(c);
    EXPECT_EQ(factors.size(), 32u);
    EXPECT_EQ(factors.front(), 1);
    EXPECT_NEAR(factors.back(), 32, 1e-4);
    // 8192 / 2 pi * 5e5^(-36/64) = 0.81 turns at i = 18; 1.96 at i = 16, which keep (1.96 - 1) / 3.
    EXPECT_NEAR(factors[18], 32, 1e-4);
    const double keep = (8192 / (2 * M_PI) * std::pow(5e5, -0.5) - 1) / 3;
    EXPECT_NEAR(factors[16], 1 / ((1 - keep) / 32 + keep), 1e-4);
}

TEST(export_gguf, qwen_keeps_halves_and_has_its_norms) {
    const ToyModel qwen2(with(toy_qwen2(), [](Config&c) { c.NH = 2; })), qwen3(toy_qwen3());
    const GgufFile two = Exported().of(qwen2), three = Exported().of(qwen3);
    EXPECT_EQ(two.text("general.architecture"), "qwen2");
    EXPECT_EQ(three.text("general.architecture"), "qwen3");
    const std::vector<float> qkv = our_values(qwen2, "h.0.qkv.weight"), bias = our_values(qwen2, "h.0.qkv.bias");
    expect_tensor(two, "blk.0.attn_q.weight", {8, 8}, {qkv.begin(), qkv.begin() + 64});
    expect_tensor(two, "blk.0.attn_v.bias", {8}, {bias.end() - 8, bias.end()});
    EXPECT_FALSE(two.tensors.contains("output.weight"));
    EXPECT_FALSE(two.tensors.contains("blk.0.attn_output.bias"));
    expect_tensor(three, "blk.1.attn_q_norm.weight", {6}, our_values(qwen3, "h.1.q_norm"));
    expect_tensor(three, "blk.1.attn_k_norm.weight", {6}, our_values(qwen3, "h.1.k_norm"));
    EXPECT_EQ(three.number("qwen3.attention.key_length"), 6);
    // Interleaved pairs become halves, of the norms too.
    const ToyModel turned(with(toy_qwen3(), [](Config& c) { c.rope_pairs = RopePairs::interleaved; }));
    const GgufFile file = Exported().of(turned);
    expect_tensor(file, "blk.0.attn_q_norm.weight", {6}, rows(our_values(turned, "h.0.q_norm"), 1, {0, 2, 4, 1, 3, 5}));
}

// Qwen2's architecture ties the width of heads to the model's; Llama's has the biases too.
TEST(export_gguf, architecture_is_the_one_that_fits) {
    const auto name = [](const Config& c) { return std::string(gguf::architecture_of(c).name); };
    EXPECT_EQ(name(*find_preset("tiny")), "gpt2");
    EXPECT_EQ(name(*find_preset("baby")), "gpt2");
    for (const Preset& preset : presets())
        EXPECT_EQ(refusal(with(preset.config, [](Config& c) { c.window = 0; })), "") << preset.name;
    EXPECT_EQ(refusal(with(toy_llama(), [](Config& c) { c.window = c.T; })), "") << "nothing is hidden";
    EXPECT_EQ(name(*find_preset("cs336-small")), "llama");
    EXPECT_EQ(name(*find_preset("qwen2.5-0.5b")), "qwen2");
    EXPECT_EQ(name(with(toy_qwen2(), [](Config& c) { c.HS = 6; })), "llama");
    EXPECT_EQ(name(with(toy_qwen2(), [](Config& c) { c.NH = 2, c.rope_scaling.factor = 8; })), "llama");
}

TEST(export_gguf, what_no_architecture_has_is_named) {
    const auto expect = [](const Config& c, const std::string& why) {
        const std::string line = refusal(c);
        EXPECT_TRUE(has(line, "no architecture for this model: " + why)) << line;
        EXPECT_FALSE(has(line, "\n"));
    };
    const Config gpt2 = toy_gpt2(), llama = toy_llama(), qwen3 = toy_qwen3();
    expect(with(gpt2, [](Config& c) { c.position = Position::rope; }), "rotary positions with LayerNorm");
    expect(with(gpt2, [](Config& c) { c.activation = Activation::relu; }), "relu");
    expect(with(llama, [](Config& c) { c.window = c.T - 1; }), "layers with a sliding window (--window)");
    expect(with(gpt2, [](Config& c) { c.qk_norm = true; }), "QK-norm with LayerNorm");
    expect(with(gpt2, [](Config& c) { c.NKV = 1; }), "fewer key and value heads");
    expect(with(gpt2, [](Config& c) { c.HS = 6; }), "heads that are not as wide");
    expect(with(gpt2, [](Config& c) { c.scores_by_layer = true; }), "scores");
    expect(with(llama, [](Config& c) { c.position = Position::learned; }), "learned positions with RMSNorm");
    expect(with(llama, [](Config& c) { c.position = Position::sinusoidal; }), "sinusoidal positions with RMSNorm");
    expect(with(llama, [](Config& c) { c.activation = Activation::gelu; }), "gelu with RMSNorm");
    expect(with(llama, [](Config& c) { c.scores_by_layer = true; }), "scores");
    expect(with(qwen3, [](Config& c) { c.proj_bias = true; }), "QK-norm with biases");
    expect(with(qwen3, [](Config& c) { c.rope_scaling.factor = 8; }), "QK-norm with stretched RoPE");
}

TEST(export_gguf, types) {
    const ToyModel toy(with(toy_gpt2(), [](Config& c) { c.C = 64, c.HS = 32, c.F = 40; }));
    const std::vector<float> up = our_values(toy, "h.0.up.weight");
    const struct {
        const char* type;
        uint32_t id, file_type;
        double error;  // relative to the largest
    } cases[] = {{"f32", 0, 0, 0}, {"f16", 1, 1, 0x1p-11}, {"bf16", 30, 32, 0x1p-8}, {"q8_0", 8, 7, 1.0 / 250}};
    for (const auto& k : cases) {
        const GgufFile file = Exported().of(toy, k.type);
        EXPECT_EQ(file.number("general.file_type"), k.file_type);
        EXPECT_EQ(file.tensors.at("blk.0.ffn_up.weight").type, k.id) << k.type;
        // Rows of 40 are no whole number of blocks of 32; positions and all that is no matrix stay as they are.
        EXPECT_EQ(file.tensors.at("blk.0.ffn_down.weight").type, k.id == 8 ? 1 : k.id) << k.type;
        for (const char* name : {"position_embd.weight", "blk.0.attn_norm.weight", "blk.0.attn_qkv.bias"})
            EXPECT_EQ(file.tensors.at(name).type, 0u) << name;
        const std::vector<float> values = file.tensors.at("blk.0.ffn_up.weight").values();
        ASSERT_EQ(values.size(), up.size());
        double largest = 0;
        for (const float x : up) largest = std::max(largest, std::abs(double(x)));
        for (size_t i = 0; i < up.size(); i++) EXPECT_NEAR(values[i], up[i], k.error * largest) << k.type << " " << i;
        EXPECT_EQ(file.keys.contains("general.quantization_version"), k.id == 8);
    }
}

// gguf_blocks.py draws the same numbers.
std::vector<float> golden_block(int block) {
    std::vector<float> x(32);
    for (int64_t i = 0; i < 32; i++) {
        x[size_t(i)] = float(((i + 32 * block) * 2654435761 >> 7) % 4001 - 2000) * 0x1p-10f;
        if (block == 1) x[size_t(i)] = 0;
        if (block == 2) x[size_t(i)] = float(i - 16) + 0.5f;
        if (block == 3) x[size_t(i)] *= 0x1p-24f;
        if (block == 5) x[size_t(i)] *= 0x1p-40f;
        if (block == 6) x[size_t(i)] = 1 + float(2 * i + 1) * 0x1p-11f;
        if (block == 7) x[size_t(i)] *= 0x1p-13f;
    }
    if (block == 2) x[31] = 127;
    if (block == 4) x[7] = 1000;
    return x;
}

TEST(export_gguf, blocks_are_those_of_the_gguf_package) {
    const Json golden = read_json("dev/oracle/gguf_blocks.json");
    const std::pair<const char*, GgufType> types[] = {
        {"F16", GgufType::f16}, {"BF16", GgufType::bf16}, {"Q8_0", GgufType::q8_0}};
    for (const auto& [name, type] : types) {
        std::string bytes, hex;
        for (int block = 0; block < 10; block++) gguf::append_values(bytes, type, golden_block(block), "x");
        for (const char c : bytes) hex += fmt::format("{:02x}", uint8_t(c));
        EXPECT_EQ(hex, golden[name].get<std::string>()) << name;
    }
}

TEST(export_gguf, halves) {
    const std::pair<float, int> cases[] = {
        {0, 0},          {1, 0x3C00},         {-2, 0xC000},           {65504, 0x7BFF},        {65519, 0x7BFF},
        {65520, 0x7C00}, {1e30f, 0x7C00},     {0x1p-14f, 0x0400},     {0x1p-24f, 1},          {0x1p-25f, 0},
        {0x1.8p-24f, 2}, {-0x1p-15f, 0x8200}, {0x1.ff8p-15f, 0x03FF}, {0x1.ffcp-15f, 0x0400}, {-INFINITY, 0xFC00}};
    for (const auto& [x, bits] : cases) EXPECT_EQ(gguf::half_of(x), bits) << x;
    std::string bytes;
    const float large[] = {1, 70000};
    expect_error(Exit::numeric, {"--type f16", "tensor w", "70000", "bf16"},
                 [&] { gguf::append_values(bytes, GgufType::f16, large, "w"); });
    std::vector<float> block(32, 1e9f);
    expect_error(Exit::numeric, {"--type q8_0", "tensor w", "f32"},
                 [&] { gguf::append_values(bytes, GgufType::q8_0, block, "w"); });
}
