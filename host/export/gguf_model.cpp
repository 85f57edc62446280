#include "gguf_model.h"
#include "host/base/error.h"
#include "host/reference/rope.h"

namespace gguf {

namespace {

// What GPT-2's architecture lacks of a model with LayerNorm; "": nothing.
std::string beyond_gpt2(const Config& c) {
    if (c.position == Position::rope) return "rotary positions with LayerNorm";
    if (c.activation != Activation::gelu) return std::string(name_of(c.activation)) + " with LayerNorm";
    if (c.qk_norm) return "QK-norm with LayerNorm";
    if (c.NKV != c.NH) return "fewer key and value heads than query heads with LayerNorm";
    if (c.NH * c.HS != c.C) return "heads that are not as wide as the model with LayerNorm";
    if (c.scores_by_layer) return "scores that are divided by the layer's number";
    return "";
}

std::string beyond_llama(const Config& c) {
    if (c.position != Position::rope) return std::string(name_of(c.position)) + " positions with RMSNorm";
    if (c.activation != Activation::swiglu) return std::string(name_of(c.activation)) + " with RMSNorm";
    if (c.norm_bias) return "RMSNorm with biases";
    if (c.scores_by_layer) return "scores that are divided by the layer's number";
    if (c.qk_norm && (c.proj_bias || c.ffn_bias)) return "QK-norm with biases behind attention";
    if (c.qk_norm && c.rope_scaling.factor != 1) return "QK-norm with stretched RoPE (--rope-factor)";
    return "";
}

uint32_t file_type(GgufType type) {
    constexpr uint32_t types[] = {0, 1, 32, 7};  // the format's numbers
    return types[size_t(type)];
}

// A window as long as the context hides nothing.
bool hides_tokens(const Config& c) {
    for (int l = 0; l < c.L; l++)
        if (c.slides(l) && c.window < c.T) return true;
    return false;
}

bool is_position_table(const MappedTensor& e) { return e.theirs == "position_embd.weight"; }

}  // namespace

Architecture architecture_of(const Config& c) {
    const std::string beyond = hides_tokens(c)             ? "layers with a sliding window (--window)"
                               : c.norm == Norm::layernorm ? beyond_gpt2(c)
                                                           : beyond_llama(c);
    if (!beyond.empty())
        throw Error(Exit::input, "--gguf", "llama.cpp has no architecture for this model: " + beyond,
                    "it has GPT-2's, Llama's, Qwen2's and Qwen3's; transformers opens the model's directory");
    if (c.norm == Norm::layernorm) return {"gpt2", Names::gguf_gpt2};
    if (c.qk_norm) return {"qwen3", Names::gguf_qwen};
    // Llama's has every bias too, any width of heads and RoPE's factors: it serves what Qwen2's does not.
    const bool as_qwen2 = c.qkv_bias && !c.proj_bias && !c.ffn_bias && c.rope_scaling.factor == 1 && c.NH * c.HS == c.C;
    return as_qwen2 ? Architecture{"qwen2", Names::gguf_qwen} : Architecture{"llama", Names::gguf_llama};
}

Metadata model_metadata(const Config& c, GgufType type, const std::string& name) {
    const std::string arch = architecture_of(c).name;
    const bool rope = c.position == Position::rope;
    Metadata all = {{"general.architecture", arch},
                    {"general.type", "model"},
                    {"general.name", name},
                    {"general.file_type", file_type(type)}};
    if (type == GgufType::q8_0) all.emplace_back("general.quantization_version", uint32_t(2));
    const auto add = [&](const char* key, Value value) { all.emplace_back(arch + "." + key, std::move(value)); };
    add("vocab_size", uint32_t(c.V));
    add("context_length", uint32_t(c.T));
    add("embedding_length", uint32_t(c.C));
    add("block_count", uint32_t(c.L));
    add("feed_forward_length", uint32_t(c.F));
    add("attention.head_count", uint32_t(c.NH));
    if (rope) {
        add("attention.head_count_kv", uint32_t(c.NKV));
        add("attention.key_length", uint32_t(c.HS));
        add("attention.value_length", uint32_t(c.HS));
        add("rope.dimension_count", uint32_t(c.HS));
        add("rope.freq_base", c.rope_theta);
    }
    add(rope ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon", c.norm_eps);
    return all;
}

std::vector<float> rope_factors(const Config& c) {
    std::vector<float> factors;
    for (int i = 0; i < c.HS / 2; i++)
        factors.push_back(
            float(rope_frequency(i, c.HS, c.rope_theta, {}) / rope_frequency(i, c.HS, c.rope_theta, c.rope_scaling)));
    return factors;
}

std::vector<TensorSource> tensor_sources(const Config& c, const Layout& layout, GgufType type) {
    const std::vector<MappedTensor> mapped = mapped_tensors(c, layout, architecture_of(c).tensors);
    std::vector<TensorSource> all;
    if (c.position == Position::rope && c.rope_scaling.factor != 1)
        all.push_back({{"rope_freqs.weight", {uint64_t(c.HS / 2)}, GgufType::f32}, {}});
    const auto add = [&](const Parameter* parameter) {
        for (const MappedTensor& e : mapped) {
            if (e.parameter != parameter) continue;
            const bool whole_blocks = type != GgufType::q8_0 || e.width % block == 0;
            const bool narrow = e.matrix && !is_position_table(e);  // llama.cpp adds its rows as they are
            all.push_back({{e.theirs, e.shape(), !narrow ? GgufType::f32 : whole_blocks ? type : GgufType::f16}, e});
        }
    };
    add(nullptr);
    for (const Parameter& parameter : layout.parameters) add(&parameter);
    return all;
}

}  // namespace gguf
