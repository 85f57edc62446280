// The tables. A tensor that Hugging Face has and we do not is constant: biases are zero, and sinusoids fill a table of
// positions.
#include "weight_map.h"
#include <map>
#include <span>
#include "host/reference/embedding.h"
#include "huggingface_config.h"

namespace {

enum class Part { whole, q, k, v, gate, up };  // which rows of ours a tensor is

bool always(const Config&) { return true; }
bool untied(const Config& c) { return !c.tied; }
bool has_qkv_bias(const Config& c) { return c.qkv_bias || c.proj_bias; }  // Hugging Face has one switch for both
bool has_proj_bias(const Config& c) { return has_qkv_bias(c) && family_of(c) != Family::qwen2; }
bool has_ffn_bias(const Config& c) { return c.ffn_bias; }
bool has_qk_norm(const Config& c) { return c.qk_norm; }
bool qkv_is_biased(const Config& c) { return c.qkv_bias; }
bool proj_is_biased(const Config& c) { return c.proj_bias; }

struct Rule {
    const char *ours, *theirs;  // * is the layer
    Part part = Part::whole;
    bool transposed = false;                 // GPT-2 stores (in, out), everybody else (out, in)
    bool (*wanted)(const Config&) = always;  // by their model
};

// clang-format off
constexpr Rule gpt2_rules[] = {
    {"wte",               "transformer.wte.weight"},
    {"wpe",               "transformer.wpe.weight"},
    {"h.*.norm1.weight",  "transformer.h.*.ln_1.weight"},
    {"h.*.norm1.bias",    "transformer.h.*.ln_1.bias"},
    {"h.*.qkv.weight",    "transformer.h.*.attn.c_attn.weight", Part::whole, true},
    {"h.*.qkv.bias",      "transformer.h.*.attn.c_attn.bias"},
    {"h.*.proj.weight",   "transformer.h.*.attn.c_proj.weight", Part::whole, true},
    {"h.*.proj.bias",     "transformer.h.*.attn.c_proj.bias"},
    {"h.*.norm2.weight",  "transformer.h.*.ln_2.weight"},
    {"h.*.norm2.bias",    "transformer.h.*.ln_2.bias"},
    {"h.*.up.weight",     "transformer.h.*.mlp.c_fc.weight",    Part::whole, true},
    {"h.*.up.bias",       "transformer.h.*.mlp.c_fc.bias"},
    {"h.*.down.weight",   "transformer.h.*.mlp.c_proj.weight",  Part::whole, true},
    {"h.*.down.bias",     "transformer.h.*.mlp.c_proj.bias"},
    {"norm_f.weight",     "transformer.ln_f.weight"},
    {"norm_f.bias",       "transformer.ln_f.bias"},
    {"head",              "lm_head.weight",                     Part::whole, false, untied}};

constexpr Rule llama_rules[] = {                     // Qwen2 and Qwen3 too: what one lacks, its `wanted` says
    {"wte",               "model.embed_tokens.weight"},
    {"h.*.norm1.weight",  "model.layers.*.input_layernorm.weight"},
    {"h.*.qkv.weight",    "model.layers.*.self_attn.q_proj.weight", Part::q},
    {"h.*.qkv.weight",    "model.layers.*.self_attn.k_proj.weight", Part::k},
    {"h.*.qkv.weight",    "model.layers.*.self_attn.v_proj.weight", Part::v},
    {"h.*.qkv.bias",      "model.layers.*.self_attn.q_proj.bias",   Part::q,     false, has_qkv_bias},
    {"h.*.qkv.bias",      "model.layers.*.self_attn.k_proj.bias",   Part::k,     false, has_qkv_bias},
    {"h.*.qkv.bias",      "model.layers.*.self_attn.v_proj.bias",   Part::v,     false, has_qkv_bias},
    {"h.*.q_norm",        "model.layers.*.self_attn.q_norm.weight", Part::whole, false, has_qk_norm},
    {"h.*.k_norm",        "model.layers.*.self_attn.k_norm.weight", Part::whole, false, has_qk_norm},
    {"h.*.proj.weight",   "model.layers.*.self_attn.o_proj.weight"},
    {"h.*.proj.bias",     "model.layers.*.self_attn.o_proj.bias",   Part::whole, false, has_proj_bias},
    {"h.*.norm2.weight",  "model.layers.*.post_attention_layernorm.weight"},
    {"h.*.up.weight",     "model.layers.*.mlp.gate_proj.weight",    Part::gate},
    {"h.*.up.weight",     "model.layers.*.mlp.up_proj.weight",      Part::up},
    {"h.*.up.bias",       "model.layers.*.mlp.gate_proj.bias",      Part::gate,  false, has_ffn_bias},
    {"h.*.up.bias",       "model.layers.*.mlp.up_proj.bias",        Part::up,    false, has_ffn_bias},
    {"h.*.down.weight",   "model.layers.*.mlp.down_proj.weight"},
    {"h.*.down.bias",     "model.layers.*.mlp.down_proj.bias",      Part::whole, false, has_ffn_bias},
    {"norm_f.weight",     "model.norm.weight"},
    {"head",              "lm_head.weight",                         Part::whole, false, untied}};

constexpr Rule cs336_rules[] = {                     // RoPE's pairs are interleaved, as the course defines them
    {"wte",               "token_embeddings.weight"},
    {"h.*.norm1.weight",  "layers.*.ln1.weight"},
    {"h.*.qkv.weight",    "layers.*.attn.q_proj.weight",            Part::q},
    {"h.*.qkv.weight",    "layers.*.attn.k_proj.weight",            Part::k},
    {"h.*.qkv.weight",    "layers.*.attn.v_proj.weight",            Part::v},
    {"h.*.proj.weight",   "layers.*.attn.output_proj.weight"},
    {"h.*.norm2.weight",  "layers.*.ln2.weight"},
    {"h.*.up.weight",     "layers.*.ffn.w1.weight",                 Part::gate},
    {"h.*.up.weight",     "layers.*.ffn.w3.weight",                 Part::up},
    {"h.*.down.weight",   "layers.*.ffn.w2.weight"},
    {"norm_f.weight",     "ln_final.weight"},
    {"head",              "lm_head.weight",                         Part::whole, false, untied}};

constexpr Rule gguf_gpt2_rules[] = {
    {"wte",               "token_embd.weight"},
    {"wpe",               "position_embd.weight"},
    {"h.*.norm1.weight",  "blk.*.attn_norm.weight"},
    {"h.*.norm1.bias",    "blk.*.attn_norm.bias"},
    {"h.*.qkv.weight",    "blk.*.attn_qkv.weight"},
    {"h.*.qkv.bias",      "blk.*.attn_qkv.bias"},
    {"h.*.proj.weight",   "blk.*.attn_output.weight"},
    {"h.*.proj.bias",     "blk.*.attn_output.bias"},
    {"h.*.norm2.weight",  "blk.*.ffn_norm.weight"},
    {"h.*.norm2.bias",    "blk.*.ffn_norm.bias"},
    {"h.*.up.weight",     "blk.*.ffn_up.weight"},
    {"h.*.up.bias",       "blk.*.ffn_up.bias"},
    {"h.*.down.weight",   "blk.*.ffn_down.weight"},
    {"h.*.down.bias",     "blk.*.ffn_down.bias"},
    {"norm_f.weight",     "output_norm.weight"},
    {"norm_f.bias",       "output_norm.bias"},
    {"head",              "output.weight",                          Part::whole, false, untied}};

constexpr Rule gguf_llama_rules[] = {                // and Qwen's, whose pairs are halves
    {"wte",               "token_embd.weight"},
    {"h.*.norm1.weight",  "blk.*.attn_norm.weight"},
    {"h.*.qkv.weight",    "blk.*.attn_q.weight",                    Part::q},
    {"h.*.qkv.weight",    "blk.*.attn_k.weight",                    Part::k},
    {"h.*.qkv.weight",    "blk.*.attn_v.weight",                    Part::v},
    {"h.*.qkv.bias",      "blk.*.attn_q.bias",                      Part::q,     false, qkv_is_biased},
    {"h.*.qkv.bias",      "blk.*.attn_k.bias",                      Part::k,     false, qkv_is_biased},
    {"h.*.qkv.bias",      "blk.*.attn_v.bias",                      Part::v,     false, qkv_is_biased},
    {"h.*.q_norm",        "blk.*.attn_q_norm.weight",               Part::whole, false, has_qk_norm},
    {"h.*.k_norm",        "blk.*.attn_k_norm.weight",               Part::whole, false, has_qk_norm},
    {"h.*.proj.weight",   "blk.*.attn_output.weight"},
    {"h.*.proj.bias",     "blk.*.attn_output.bias",                 Part::whole, false, proj_is_biased},
    {"h.*.norm2.weight",  "blk.*.ffn_norm.weight"},
    {"h.*.up.weight",     "blk.*.ffn_gate.weight",                  Part::gate},
    {"h.*.up.weight",     "blk.*.ffn_up.weight",                    Part::up},
    {"h.*.up.bias",       "blk.*.ffn_gate.bias",                    Part::gate,  false, has_ffn_bias},
    {"h.*.up.bias",       "blk.*.ffn_up.bias",                      Part::up,    false, has_ffn_bias},
    {"h.*.down.weight",   "blk.*.ffn_down.weight"},
    {"h.*.down.bias",     "blk.*.ffn_down.bias",                    Part::whole, false, has_ffn_bias},
    {"norm_f.weight",     "output_norm.weight"},
    {"head",              "output.weight",                          Part::whole, false, untied}};
// clang-format on

struct Table {
    std::span<const Rule> rules;
    RopePairs pairs;
};

Table table_of(Family family, Names names) {
    switch (names) {
        case Names::cs336: return {cs336_rules, RopePairs::interleaved};
        case Names::gguf_gpt2: return {gguf_gpt2_rules, RopePairs::half};  // has no RoPE
        case Names::gguf_llama: return {gguf_llama_rules, RopePairs::interleaved};
        case Names::gguf_qwen: return {gguf_llama_rules, RopePairs::half};
        case Names::family: break;
    }
    return {family == Family::gpt2 ? std::span<const Rule>(gpt2_rules) : llama_rules, RopePairs::half};
}

std::string with_layer(std::string pattern, int layer) {
    const size_t star = pattern.find('*');
    return star == pattern.npos ? pattern : pattern.replace(star, 1, std::to_string(layer));
}

using ParameterIndex = std::map<std::string, const Parameter*>;

const Parameter* find_parameter(const ParameterIndex& index, const std::string& name) {
    const auto found = index.find(name);
    return found == index.end() ? nullptr : found->second;
}

MappedTensor whole_parameter(const Parameter& parameter, const std::string& theirs) {
    MappedTensor e{.theirs = theirs, .parameter = &parameter};
    e.matrix = parameter.shape.size() > 1;
    e.rows = size_t(parameter.shape[0]);
    e.width = parameter.size() / e.rows;
    return e;
}

// The rule at one layer. Of a constant we know the shape from the weight it belongs to.
MappedTensor mapped_tensor(const Rule& rule, const Config& c, const ParameterIndex& index, int layer, RopePairs pairs) {
    const std::string ours = with_layer(rule.ours, layer), theirs = with_layer(rule.theirs, layer);
    MappedTensor e;
    if (const Parameter* parameter = find_parameter(index, ours)) {
        e = whole_parameter(*parameter, theirs);
    } else if (ours == "wpe") {
        e = {.theirs = theirs, .rows = size_t(c.T), .width = size_t(c.C), .matrix = true};
    } else {
        REQUIRE(ours.ends_with(".bias"));
        e = whole_parameter(*find_parameter(index, ours.substr(0, ours.size() - 4) + "weight"), theirs);
        e.parameter = nullptr, e.matrix = false, e.width = 1;
    }
    const size_t q = size_t(c.NH) * c.HS, kv = size_t(c.NKV) * c.HS, F = size_t(c.F);
    switch (rule.part) {
        case Part::whole: break;
        case Part::q: e.first = 0, e.rows = q; break;
        case Part::k: e.first = q, e.rows = kv; break;
        case Part::v: e.first = q + kv, e.rows = kv; break;
        case Part::gate: e.first = 0, e.rows = F; break;
        case Part::up: e.first = F, e.rows = F; break;
    }
    e.transposed = rule.transposed;
    const bool paired = rule.part == Part::q || rule.part == Part::k || ours.ends_with("_norm");
    if (paired && c.position == Position::rope && c.rope_pairs != pairs) {
        e.order = pairs == RopePairs::half ? MappedTensor::Order::they_half : MappedTensor::Order::they_interleaved;
        e.heads = rule.part == Part::q ? c.NH : rule.part == Part::k ? c.NKV : 1;
    }
    return e;
}

}  // namespace

std::vector<uint64_t> MappedTensor::shape() const {
    if (!matrix) return {rows};
    return transposed ? std::vector<uint64_t>{width, rows} : std::vector<uint64_t>{rows, width};
}

// Pair i of a head is (i, i + half) in one order and (2i, 2i+1) in the other.
size_t MappedTensor::our_row(size_t r) const {
    if (order == Order::same) return first + r;
    const size_t size = rows / heads, half = size / 2, within = r % size, head = first + r - within;
    if (order == Order::they_half) return head + (within < half ? 2 * within : 2 * (within - half) + 1);
    return head + within / 2 + (within % 2) * half;
}

std::vector<MappedTensor> mapped_tensors(const Config& c, const Layout& layout, Names names) {
    std::vector<MappedTensor> tensors;
    const Family family = family_of(c);
    if (family == Family::native && names == Names::family) {
        for (const Parameter& parameter : layout.parameters)
            tensors.push_back(whole_parameter(parameter, parameter.name));
        return tensors;
    }
    ParameterIndex index;
    for (const Parameter& parameter : layout.parameters) index[parameter.name] = &parameter;
    size_t covered = 0, total = 0;
    const Table table = table_of(family, names);
    for (const Rule& rule : table.rules) {
        const int copies = std::string(rule.ours).find('*') == std::string::npos ? 1 : c.L;
        for (int l = 0; rule.wanted(c) && l < copies; l++) {
            tensors.push_back(mapped_tensor(rule, c, index, l, table.pairs));
            if (tensors.back().parameter) covered += tensors.back().size();
        }
    }
    for (const Parameter& parameter : layout.parameters) total += parameter.size();
    REQUIRE(covered == total);
    return tensors;
}

// GPT-2's causal masks, RoPE's frequencies, a tied head.
bool ignorable(const std::string& name, const Config& c) {
    return name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias") ||
           name.ends_with(".rotary_emb.inv_freq") || (c.tied && name == "lm_head.weight");
}

float constant(const MappedTensor& e, size_t index) {
    return e.matrix ? float(sinusoid(int(index / e.width), int(index % e.width), int(e.width))) : 0;
}
