#include "huggingface_config.h"
#include <algorithm>
#include <vector>
#include "host/base/messages.h"
#include "host/base/text.h"
#include "huggingface_keys.h"
#include "json_fields.h"

using safetensors::Dtype;

namespace {

struct FamilyRow {
    const char *model_type, *architecture;
};
constexpr FamilyRow families[] = {{"gpt2", "GPT2LMHeadModel"},       {"llama", "LlamaForCausalLM"},
                                  {"mistral", "MistralForCausalLM"}, {"qwen2", "Qwen2ForCausalLM"},
                                  {"qwen3", "Qwen3ForCausalLM"},     {"gpt_cu", "GptCu"}};

Family detect_family(const Fields& f) {
    std::string type = f.text("model_type", ""), architecture;
    if (const Json* list = f.find("architectures")) {
        if (!list->is_array() || list->empty() || !list->front().is_string())
            f.refuse("architectures", "must be a list of names");
        architecture = list->front().get<std::string>();
    }
    for (size_t i = 0; i < std::size(families); i++) {
        if (type.empty() ? architecture != families[i].architecture : type != families[i].model_type) continue;
        const std::string full = families[i].architecture,
                          base = full.substr(0, full.find(full.starts_with("GPT2") ? "LMHead" : "For"));
        if (architecture.empty() || architecture == full || architecture == base + "Model") return Family(i);
    }
    f.refuse(architecture.empty() ? "model_type" : "architectures",
             (architecture.empty() ? "\"" + type + "\"" : architecture) + " is not supported",
             "GPT2LMHeadModel, LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM and Qwen3ForCausalLM are");
}

bool is_null(const Fields& f, const char* key) { return f.object.contains(key) && !f.find(key); }

void refuse_unsupported(const Fields& f) {
    if (f.find("quantization_config"))
        f.refuse("quantization_config", "is not supported", "save the model in float32 or bfloat16");
    for (const char* key : {"num_experts", "num_local_experts"})
        if (f.integer(key, 0) > 1) f.refuse(key, "is set: mixtures of experts are not supported");
    for (const char* key : {"add_cross_attention", "use_mrope"})
        if (f.flag(key, false)) f.refuse(key, "is true, which is not supported");
    if (!f.flag("scale_attn_weights", true)) f.refuse("scale_attn_weights", "is false, which is not supported");
    if (f.number("partial_rotary_factor", 1) != 1) f.refuse("partial_rotary_factor", "other than 1 is not supported");
}

// One answer a layer of layer_types, as Config can say it: all from one layer on slide, but for every Kth.
void read_layer_types(Config& c, const Fields& f, const Json& types) {
    std::vector<bool> slides;
    for (const Json& type : types) {
        if (type != "full_attention" && type != "sliding_attention")
            f.refuse("layer_types",
                     "holds " + type.dump() + ": only full_attention and sliding_attention are supported");
        slides.push_back(type == "sliding_attention");
    }
    if (slides.size() != size_t(c.L))
        f.refuse("layer_types",
                 "has " + std::to_string(slides.size()) + " entries, and the model " + std::to_string(c.L) + " layers");
    const auto first = std::find(slides.begin(), slides.end(), true);
    if (first == slides.end()) return;
    const auto full = std::find(first, slides.end(), false);
    c.window_from = int(first - slides.begin());
    c.full_every = full == slides.end() ? 0 : int(full - slides.begin()) + 1;
    c.window = f.integer("sliding_window", 0);
    if (c.window < 1) f.refuse("sliding_window", "is missing, and layer_types has layers that slide");
    for (int l = 0; l < c.L; l++)
        if (c.slides(l) != slides[size_t(l)])
            f.refuse("layer_types", "follows no pattern that is supported",
                     "full layers may come first, then every Kth one");
}

// Which layers see a window only: layer_types says; else all of Mistral's do, and of Qwen's those from
// max_window_layers on where use_sliding_window is true (the defaults are those of transformers).
void read_window(Config& c, const Fields& f, Family family) {
    const bool qwen = family == Family::qwen2 || family == Family::qwen3, asked = f.flag("use_sliding_window", false);
    if (const Json* types = f.find("layer_types")) {
        read_layer_types(c, f, *types);
        if (c.window && (family == Family::llama || (qwen && !asked)))
            f.refuse("layer_types", "has layers that slide, and " +
                                        std::string(qwen ? "use_sliding_window is not true" : "a Llama's do not"));
        return;
    }
    if (family == Family::llama && asked) f.refuse("use_sliding_window", "is true, and a Llama's layers do not slide");
    if (is_null(f, "sliding_window") || !(family == Family::mistral || (qwen && asked))) return;
    c.window = f.integer("sliding_window", 4096);
    c.window_from = qwen ? f.integer("max_window_layers", 28) : 0;
    if (c.window_from >= c.L) c.window = 0;
    if (c.window == 0) c.window_from = 0;
}

// transformers 4 writes rope_theta and rope_scaling, 5 one object rope_parameters.
void read_rope(Config& c, const Fields& f) {
    const Json* object = f.find("rope_scaling");
    if (!object || (object->is_object() && object->empty())) object = f.find("rope_parameters");
    const Json none = Json::object();
    const Fields rope(object ? *object : none, f.what + ": rope_parameters");
    for (const auto& [key, value] : rope.object.items())
        if (value.is_object()) rope.refuse(key, "per kind of layer is not supported");
    c.rope_theta = float(rope.number("rope_theta", f.number("rope_theta", 10000)));
    if (rope.number("partial_rotary_factor", 1) != 1)
        rope.refuse("partial_rotary_factor", "other than 1 is not supported");
    const std::string type = rope.text("rope_type", rope.text("type", "default").c_str());
    if (type == "default") return;
    if (type != "llama3") rope.refuse("rope_type", "\"" + type + "\" is not supported", "default and llama3 are");
    if (!rope.find("factor")) rope.refuse("factor", "is missing");
    c.rope_scaling.factor = float(rope.number("factor", 1));
    c.rope_scaling.low_frequency = float(rope.number("low_freq_factor", 1));
    c.rope_scaling.high_frequency = float(rope.number("high_freq_factor", 4));
    c.rope_scaling.original_context = rope.integer("original_max_position_embeddings", c.T);
}

// Training has one rate for all that is dropped.
void compare_dropout(ModelDescription& model, const Fields& f, std::initializer_list<const char*> keys,
                     double otherwise) {
    for (const char* key : keys) {
        const double rate = f.number(key, otherwise);
        if (float(rate) == model.config.dropout || !model.dropout_problem.empty()) continue;
        model.dropout_problem = key + (" " + Json(rate).dump()) + " is not the dropout of the other places, " +
                                Json(shortest(model.config.dropout)).dump() + ", and training has one rate for all";
    }
}

void read_gpt2(ModelDescription& model, const Fields& f) {
    Config& c = model.config;
    c.T = f.integer("n_positions", f.integer("n_ctx", 1024));
    c.V = f.integer("vocab_size", 50257);
    c.L = f.integer("n_layer", 12);
    c.C = f.integer("n_embd", 768);
    c.NH = c.NKV = f.integer("n_head", 12);
    if (c.NH < 1 || c.C % c.NH) f.refuse("n_embd", "must be a multiple of n_head");
    c.HS = c.C / c.NH;
    c.F = f.integer("n_inner", c.C < 1 << 28 ? 4 * c.C : 0);
    const std::string activation = f.text("activation_function", "gelu_new");
    if (activation == "relu") c.activation = Activation::relu;
    else if (activation != "gelu_new" && activation != "gelu_pytorch_tanh" && activation != "gelu_fast")
        f.refuse("activation_function", "\"" + activation + "\" is not supported",
                 "gelu_new, gelu_pytorch_tanh, gelu_fast and relu are");
    c.norm_eps = float(f.number("layer_norm_epsilon", 1e-5));
    c.dropout = float(f.number("resid_pdrop", 0.1));
    compare_dropout(model, f, {"embd_pdrop", "attn_pdrop"}, 0.1);
    c.scores_by_layer = f.flag("scale_attn_by_inverse_layer_idx", false);
    c.tied = f.flag("tie_word_embeddings", true);
}

void read_llama(ModelDescription& model, const Fields& f, Family family) {
    const bool llama = family == Family::llama, qwen2 = family == Family::qwen2, mistral = family == Family::mistral;
    Config& c = model.config;
    c.norm = Norm::rmsnorm, c.position = Position::rope, c.activation = Activation::swiglu, c.init = InitScheme::plain;
    c.V = f.integer("vocab_size", llama || mistral ? 32000 : 151936);
    c.C = f.integer("hidden_size", 4096);
    c.F = f.integer("intermediate_size", llama ? 11008 : mistral ? 14336 : 22016);
    c.L = f.integer("num_hidden_layers", 32);
    c.NH = f.integer("num_attention_heads", 32);
    const int default_kv = llama || f.object.contains("num_key_value_heads") ? c.NH : mistral ? 8 : 32;
    c.NKV = f.integer("num_key_value_heads", default_kv);
    if (c.NH < 1 || (!f.find("head_dim") && family != Family::qwen3 && c.C % c.NH))
        f.refuse("hidden_size", "must be a multiple of num_attention_heads");
    c.HS = f.integer("head_dim", family == Family::qwen3 && !f.object.contains("head_dim") ? 128 : c.C / c.NH);
    c.T = f.integer("max_position_embeddings", llama ? 2048 : mistral ? 4096 * 32 : 32768);
    const std::string activation = f.text("hidden_act", "silu");
    if (activation != "silu" && activation != "swish")
        f.refuse("hidden_act", "\"" + activation + "\" is not supported", "silu is");
    c.norm_eps = float(f.number("rms_norm_eps", 1e-6));
    c.tied = f.flag("tie_word_embeddings", false);
    const bool bias = !mistral && f.flag("attention_bias", false);
    c.qkv_bias = qwen2 || bias, c.proj_bias = !qwen2 && bias;
    c.ffn_bias = llama && f.flag("mlp_bias", false);
    c.norm_bias = false;
    c.qk_norm = family == Family::qwen3;
    read_rope(c, f);
    compare_dropout(model, f, {"attention_dropout"}, 0);
    read_window(c, f, family);
}

// What the standard keys say, without "gpt_cu".
Config read_standard(ModelDescription& model, const Fields& f, Family family) {
    model.config = {};
    refuse_unsupported(f);
    if (family == Family::gpt2) read_gpt2(model, f);
    else read_llama(model, f, family);
    model.config.init_std = float(f.number("initializer_range", 0.02));
    return model.config;
}

void note_unknown_keys(ModelDescription& model, const Fields& f) {
    constexpr size_t most = 8;
    std::string names;
    size_t count = 0;
    for (const auto& [key, value] : f.object.items()) {
        const bool says_nothing = value.is_null() || (!value.is_primitive() && value.empty());
        if (says_nothing || f.asked.contains(key) || is_harmless(key)) continue;
        if (count++ < most) names += (names.empty() ? "" : ", ") + in_quotes(key);
    }
    if (!count) return;
    if (count > most) names += " and " + std::to_string(count - most) + " more";
    model.warnings.push_back(f.what + ": " + names + ": not known here and ignored; if " +
                             (count == 1 ? "it changes" : "they change") +
                             " what the model computes, its results will be others");
}

void write_gpt2(Json& json, const Config& c) {
    json["n_positions"] = json["n_ctx"] = c.T;
    json["n_embd"] = c.C, json["n_layer"] = c.L, json["n_head"] = c.NH, json["n_inner"] = c.F;
    json["activation_function"] = c.activation == Activation::relu ? "relu" : "gelu_new";
    json["layer_norm_epsilon"] = shortest(c.norm_eps);
    json["resid_pdrop"] = json["embd_pdrop"] = json["attn_pdrop"] = shortest(c.dropout);
    json["scale_attn_weights"] = true;
    json["scale_attn_by_inverse_layer_idx"] = c.scores_by_layer;
    json["reorder_and_upcast_attn"] = false;
}

void write_window(Json& json, const Config& c, Family family) {
    if (family == Family::qwen2 || family == Family::qwen3) json["use_sliding_window"] = c.window > 0;
    if (c.window == 0) return;
    json["sliding_window"] = c.window;
    if (family == Family::mistral) return;
    json["max_window_layers"] = c.window_from;
    for (int l = 0; l < c.L; l++) json["layer_types"].push_back(c.slides(l) ? "sliding_attention" : "full_attention");
}

void write_llama(Json& json, const Config& c, Family family) {
    json["hidden_size"] = c.C, json["intermediate_size"] = c.F, json["num_hidden_layers"] = c.L;
    json["num_attention_heads"] = c.NH, json["num_key_value_heads"] = c.NKV, json["head_dim"] = c.HS;
    json["hidden_act"] = "silu", json["max_position_embeddings"] = c.T, json["rms_norm_eps"] = shortest(c.norm_eps);
    json["attention_dropout"] = 0.0;
    if (family == Family::llama || family == Family::qwen3) json["attention_bias"] = c.qkv_bias || c.proj_bias;
    if (family == Family::llama) json["mlp_bias"] = c.ffn_bias;
    write_window(json, c, family);
    Json rope = {{"rope_theta", shortest(c.rope_theta)}, {"rope_type", "default"}};
    if (c.rope_scaling.factor != 1) {
        rope["rope_type"] = "llama3";
        rope["factor"] = shortest(c.rope_scaling.factor);
        rope["low_freq_factor"] = shortest(c.rope_scaling.low_frequency);
        rope["high_freq_factor"] = shortest(c.rope_scaling.high_frequency);
        rope["original_max_position_embeddings"] = c.rope_scaling.original_context;
    }
    json["rope_theta"] = rope["rope_theta"];  // for transformers 4, which does not know rope_parameters
    json["rope_scaling"] = c.rope_scaling.factor != 1 ? rope : Json();
    json["rope_parameters"] = rope;
}

Json standard_json(const Config& c, Family family) {
    Json json = {{"architectures", {families[int(family)].architecture}},
                 {"model_type", families[int(family)].model_type}};
    json["vocab_size"] = c.V;
    if (family == Family::gpt2) write_gpt2(json, c);
    else if (family != Family::native) write_llama(json, c, family);
    json["initializer_range"] = shortest(c.init_std);
    json["tie_word_embeddings"] = c.tied;
    return json;
}

// Those within the vocabulary. A toy model's configuration often keeps the ids of the large one's.
std::vector<int> token_ids(ModelDescription& model, const Fields& f, const char* key) {
    std::vector<int> ids;
    const Json* values = f.find(key);
    if (!values) return ids;
    for (const Json& value : values->is_array() ? *values : Json::array({*values})) {
        if (!value.is_number_integer() || value < -1)
            f.refuse(key, value.dump() + " is not a token id below " + std::to_string(model.config.V));
        if (value < model.config.V) ids.push_back(value.get<int>());
        else model.ignored_ids.push_back(key + (" " + value.dump()));
    }
    return ids;
}

int token_id(ModelDescription& model, const Fields& f, const char* key) {
    const std::vector<int> ids = token_ids(model, f, key);
    return ids.empty() ? -1 : ids[0];
}

void write_special(Json& json, const SpecialTokens& special) {
    const auto id = [](int token) { return token < 0 ? Json() : Json(token); };
    json["bos_token_id"] = id(special.bos);
    json["eos_token_id"] = special.eos.size() > 1 ? Json(special.eos) : id(special.eos.empty() ? -1 : special.eos[0]);
    json["pad_token_id"] = id(special.pad);
}

// The version of transformers whose conventions these files follow; some of its code compares it.
constexpr const char* transformers_version = "4.56.0";

}  // namespace

Family family_of(const Config& c) {
    const bool own_width = c.NH * c.HS == c.C, all_heads = c.NKV == c.NH;
    if (c.norm == Norm::layernorm && c.position != Position::rope && c.activation != Activation::swiglu && !c.qk_norm &&
        !c.window)
        return own_width && all_heads ? Family::gpt2 : Family::native;
    if (c.norm != Norm::rmsnorm || c.position != Position::rope || c.activation != Activation::swiglu || c.norm_bias ||
        c.scores_by_layer)
        return Family::native;
    if (c.qk_norm) return c.ffn_bias ? Family::native : Family::qwen3;
    if (c.qkv_bias && !c.proj_bias && !c.ffn_bias) return Family::qwen2;
    if (c.C % c.NH) return Family::native;
    if (!c.window) return Family::llama;
    const bool all_slide = !c.window_from && !c.full_every, bias = c.qkv_bias || c.proj_bias || c.ffn_bias;
    return all_slide && !bias ? Family::mistral : Family::native;
}

Json to_json(const ModelDescription& model) {
    Json json = standard_json(model.config, family_of(model.config));
    write_special(json, model.special);
    json["use_cache"] = true;
    json["dtype"] = json["torch_dtype"] = model.dtype == Dtype::BF16 ? "bfloat16" : "float32";
    json["transformers_version"] = transformers_version;
    json["gpt_cu"] = to_json(model.config);
    return json;
}

ModelDescription model_from_json(const Json& json, const std::string& what) {
    const Fields f(json, what);
    const Family family = detect_family(f);
    if (f.find("auto_map")) warn(what + ": auto_map names code that comes with the model; it is not run");
    ModelDescription model;
    const Json* ours = f.find("gpt_cu");
    if (family == Family::native && !ours) f.refuse("gpt_cu", "is missing");
    if (ours) model.config = config_from_json(*ours, what + ": gpt_cu");
    else read_standard(model, f, family);
    if (const auto wrong = problems(model.config); !wrong.empty()) throw Error(Exit::input, what, wrong.front());
    if (ours && family_of(model.config) != family)
        f.refuse("gpt_cu", "does not describe a model of type " + std::string(families[int(family)].model_type));
    if (ours && family != Family::native) {  // the standard keys must agree: other programs may have changed them
        const Json expected = standard_json(model.config, family);
        ModelDescription there, here;
        const auto changed = differences(to_json(read_standard(there, Fields(expected, what), family)),
                                         to_json(read_standard(here, f, family)), "there", "in the standard keys");
        model.dropout_problem = here.dropout_problem;
        if (!changed.empty())
            f.refuse("gpt_cu", "disagrees with the standard keys: " + changed.front(),
                     "remove gpt_cu to go by the standard keys");
    }
    model.special = {.bos = token_id(model, f, "bos_token_id"),
                     .pad = token_id(model, f, "pad_token_id"),
                     .eos = token_ids(model, f, "eos_token_id")};
    model.dtype = f.text("dtype", f.text("torch_dtype", "float32").c_str()) == "bfloat16" ? Dtype::BF16 : Dtype::F32;
    if (family != Family::native) note_unknown_keys(model, f);
    return model;
}

Json generation_config(const SpecialTokens& special) {
    Json json = {{"_from_model_config", true}};
    write_special(json, special);
    json["transformers_version"] = transformers_version;
    return json;
}

std::vector<int> ends_of_generation_config(ModelDescription& model, const Json& json, const std::string& what) {
    return token_ids(model, Fields(json, what), "eos_token_id");
}
