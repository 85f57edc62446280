// config.json of every family: what is read, what is written, what is refused.
#include "host/checkpoint/huggingface_config.h"
#include "dev/test/support/captured.h"
#include "dev/test/support/expect_error.h"
#include "dev/test/support/toy_model.h"
#include "host/checkpoint/course_model.h"

using safetensors::Dtype;

namespace {

void refuse_config(const Json& json, std::initializer_list<std::string> words) {
    expect_error(Exit::input, words, [&] { model_from_json(json, "m/config.json"); });
}

}  // namespace

TEST(huggingface_config, round_trip) {
    for (const ToyCase& k : toy_cases()) {
        SCOPED_TRACE(k.name);
        EXPECT_EQ(family_of(k.config), k.family);
        const ModelDescription model = {k.config, {1, 2, {3, 4}}, Dtype::BF16};
        const ModelDescription again =
            model_from_json(parse_json(to_text(to_json(model)), "config.json"), "config.json");
        EXPECT_EQ(to_json(again), to_json(model));
        EXPECT_EQ(to_json(again.config), to_json(k.config));
        EXPECT_EQ(again.special.eos, (std::vector<int>{3, 4}));
        EXPECT_EQ(again.special.bos, 1);
        EXPECT_EQ(again.special.pad, 2);
    }
    for (const Preset& p : presets()) {
        SCOPED_TRACE(p.name);
        const Json json = to_json(ModelDescription{p.config, {}});
        EXPECT_EQ(to_json(model_from_json(json, "config.json").config), to_json(p.config));
    }
}

TEST(huggingface_config, configs_of_published_models) {
    const Config gpt2 =
        model_from_json(
            parse_json(R"({"activation_function":"gelu_new","architectures":["GPT2LMHeadModel"],"attn_pdrop":0.1,
        "bos_token_id":50256,"embd_pdrop":0.1,"eos_token_id":50256,"initializer_range":0.02,
        "layer_norm_epsilon":1e-05,"model_type":"gpt2","n_ctx":1024,"n_embd":768,"n_head":12,
        "n_layer":12,"n_positions":1024,"resid_pdrop":0.1,"summary_type":"cls_index",
        "task_specific_params":{"text-generation":{"do_sample":true,"max_length":50}},
        "vocab_size":50257})",
                       "c"),
            "c")
            .config;
    EXPECT_EQ(to_json(gpt2), to_json(with(find_preset("gpt2")[0], [](Config& c) { c.dropout = 0.1f; })));

    const char* llama4 =
        R"({"architectures":["LlamaForCausalLM"],"attention_bias":false,"bos_token_id":128000,
        "eos_token_id":[128001,128008],"head_dim":64,"hidden_act":"silu","hidden_size":2048,
        "initializer_range":0.02,"intermediate_size":8192,"max_position_embeddings":131072,
        "mlp_bias":false,"model_type":"llama","num_attention_heads":32,"num_hidden_layers":16,
        "num_key_value_heads":8,"pretraining_tp":1,"rms_norm_eps":1e-05,"rope_scaling":{"factor":32.0,
        "high_freq_factor":4.0,"low_freq_factor":1.0,"original_max_position_embeddings":8192,
        "rope_type":"llama3"},"rope_theta":500000.0,"tie_word_embeddings":true,"torch_dtype":"bfloat16",
        "use_cache":true,"vocab_size":128256})";
    const ModelDescription llama = model_from_json(parse_json(llama4, "c"), "c");
    EXPECT_EQ(to_json(llama.config), to_json(*find_preset("llama3.2-1b")));
    EXPECT_EQ(llama.dtype, Dtype::BF16);
    EXPECT_EQ(llama.special.eos, (std::vector<int>{128001, 128008}));
    Json llama5 = parse_json(llama4, "c");  // as transformers 5 writes it
    llama5["rope_parameters"] = llama5["rope_scaling"];
    llama5["rope_parameters"]["rope_theta"] = llama5["rope_theta"];
    llama5.erase("rope_scaling"), llama5.erase("rope_theta");
    llama5["dtype"] = llama5["torch_dtype"], llama5.erase("torch_dtype");
    EXPECT_EQ(to_json(model_from_json(llama5, "c")), to_json(llama));

    const Config qwen2 =
        model_from_json(
            parse_json(R"({"architectures":["Qwen2ForCausalLM"],"attention_dropout":0.0,"bos_token_id":151643,
        "eos_token_id":151643,"hidden_act":"silu","hidden_size":896,"initializer_range":0.02,
        "intermediate_size":4864,"max_position_embeddings":32768,"max_window_layers":24,
        "model_type":"qwen2","num_attention_heads":14,"num_hidden_layers":24,"num_key_value_heads":2,
        "rms_norm_eps":1e-06,"rope_theta":1000000.0,"sliding_window":32768,"tie_word_embeddings":true,
        "use_mrope":false,"use_sliding_window":false,"vocab_size":151936})",
                       "c"),
            "c")
            .config;
    EXPECT_EQ(to_json(qwen2), to_json(*find_preset("qwen2.5-0.5b")));

    const Config qwen3 =
        model_from_json(
            parse_json(
                R"({"architectures":["Qwen3ForCausalLM"],"attention_bias":false,"head_dim":128,"hidden_act":"silu",
        "hidden_size":1024,"intermediate_size":3072,"max_position_embeddings":40960,
        "max_window_layers":28,"model_type":"qwen3","num_attention_heads":16,"num_hidden_layers":28,
        "num_key_value_heads":8,"rms_norm_eps":1e-06,"rope_scaling":null,"rope_theta":1000000,
        "sliding_window":null,"tie_word_embeddings":true,"use_sliding_window":false,
        "vocab_size":151936.0})",
                "c"),
            "c")
            .config;
    EXPECT_EQ(to_json(qwen3), to_json(*find_preset("qwen3-0.6b")));
}

TEST(huggingface_config, what_we_cannot_do_is_refused_by_name) {
    const Json gpt2 = {{"model_type", "gpt2"}}, llama = {{"model_type", "llama"}, {"rope_theta", 10000}};
    EXPECT_EQ(model_from_json(gpt2, "c").config.C, 768);
    EXPECT_EQ(model_from_json(llama, "c").config.C, 4096);
    const auto refuse = [](Json json, const char* key, const Json& value, std::initializer_list<std::string> words) {
        json[key] = value;
        refuse_config(json, words);
    };
    refuse_config(Json::array(), {"m/config.json", "must be a JSON object"});
    refuse_config({{"model_type", "gemma"}}, {"model_type \"gemma\" is not supported", "LlamaForCausalLM"});
    refuse_config({{"vocab_size", 5}}, {"model_type \"\""});
    refuse(llama, "architectures", {"LlamaForSequenceClassification"},
           {"LlamaForSequenceClassification is not supported"});
    refuse(llama, "architectures", {"MistralForCausalLM"}, {"MistralForCausalLM"});
    refuse(llama, "quantization_config", {{"bits", 4}}, {"quantization_config"});
    refuse(llama, "num_local_experts", 8, {"num_local_experts", "mixtures"});
    refuse(llama, "use_sliding_window", true, {"use_sliding_window"});
    refuse(llama, "layer_types", {"full_attention", "sliding_attention"}, {"layer_types", "2 entries", "32 layers"});
    refuse(llama, "layer_types", {"full_attention", "chunked_attention"}, {"layer_types", "chunked_attention"});
    refuse(llama, "rope_scaling", {{"rope_type", "yarn"}, {"factor", 4}}, {"rope_type", "yarn"});
    refuse(llama, "rope_scaling", {{"type", "linear"}, {"factor", 4}}, {"linear"});
    refuse(llama, "rope_parameters", {{"full_attention", {{"rope_theta", 1}}}}, {"full_attention"});
    refuse(llama, "rope_scaling", {{"rope_type", "llama3"}}, {"factor", "missing"});
    refuse(llama, "partial_rotary_factor", 0.5, {"partial_rotary_factor"});
    refuse(llama, "hidden_act", "gelu", {"hidden_act", "gelu"});
    refuse(llama, "num_attention_heads", 3, {"hidden_size", "multiple"});
    refuse(llama, "num_key_value_heads", 5, {"32 heads", "5 key/value"});
    refuse(llama, "num_attention_heads", 0, {"multiple"});
    refuse(gpt2, "activation_function", "gelu", {"activation_function", "gelu"});
    refuse(gpt2, "scale_attn_weights", false, {"scale_attn_weights"});
    refuse(gpt2, "add_cross_attention", true, {"add_cross_attention"});
    for (const Json& bad : {Json(768.5), Json("768"), Json(-1), Json(0), Json(1e30), Json(uint64_t(1) << 63),
                            Json::array(), Json(true)}) {
        refuse(gpt2, "vocab_size", bad, {"vocab"});
        refuse(gpt2, "n_layer", bad, {"layer"});
        refuse(gpt2, "n_embd", bad, {});
    }
    refuse(gpt2, "n_layer", 1'000'000'000, {"number of layers"});
    refuse(gpt2, "eos_token_id", -2, {"eos_token_id"});
    refuse(gpt2, "eos_token_id", 1.5, {"eos_token_id"});
    refuse(gpt2, "bos_token_id", "x", {"bos_token_id"});
    EXPECT_EQ(model_from_json({{"model_type", "gpt2"}, {"n_embd", 768.0}, {"n_inner", nullptr}}, "c").config.F, 3072);
}

// The flag alone says nothing: layers from max_window_layers on slide, or those that layer_types names.
TEST(huggingface_config, sliding_windows_that_no_layer_has) {
    Json json = {{"model_type", "qwen2"}, {"use_sliding_window", true}, {"num_hidden_layers", 24}};
    const auto accepts = [&](const char* key, const Json& value) {
        Json changed = json;
        changed[key] = value;
        EXPECT_EQ(model_from_json(changed, "c").config.window, 0) << key;
    };
    accepts("max_window_layers", 24);
    accepts("max_window_layers", nullptr);  // 28
    accepts("sliding_window", nullptr);
    accepts("layer_types", std::vector<std::string>(24, "full_attention"));
    json["max_window_layers"] = 21;
    accepts("sliding_window", nullptr);
    accepts("use_sliding_window", false);
    accepts("layer_types", std::vector<std::string>(24, "full_attention"));
    EXPECT_EQ(model_from_json({{"model_type", "mistral"}, {"sliding_window", nullptr}}, "c").config.window, 0);
    EXPECT_EQ(model_from_json({{"model_type", "llama"}, {"sliding_window", 64}}, "c").config.window, 0);
}

// "s" slides, "f" is full.
std::string slides_of(const Config& c) {
    std::string all;
    for (int l = 0; l < c.L; l++) all += c.slides(l) ? 's' : 'f';
    return all;
}

TEST(huggingface_config, sliding_windows) {
    const auto read = [](Json json) { return model_from_json(json, "c").config; };
    const Config mistral = read({{"model_type", "mistral"}, {"num_hidden_layers", 3}});
    EXPECT_EQ(mistral.window, 4096);
    EXPECT_EQ(slides_of(mistral), "sss");
    Json qwen = {{"model_type", "qwen2"},
                 {"use_sliding_window", true},
                 {"num_hidden_layers", 6},
                 {"sliding_window", 7},
                 {"max_window_layers", 4}};
    EXPECT_EQ(read(qwen).window, 7);
    EXPECT_EQ(slides_of(read(qwen)), "ffffss");
    const auto with_types = [&](const std::string& slides) {
        Json json = qwen;
        json["num_hidden_layers"] = slides.size();
        json["layer_types"] = Json::array();
        for (const char c : slides) json["layer_types"].push_back(c == 's' ? "sliding_attention" : "full_attention");
        return json;
    };
    for (const char* slides : {"ssss", "sfsf", "ssfssfs", "ffss", "fffs", "sssf"})
        EXPECT_EQ(slides_of(read(with_types(slides))), slides);
    for (const char* slides : {"fsfsfs", "sffs", "ssfsf"})
        refuse_config(with_types(slides), {"layer_types", "no pattern"});
    Json json = with_types("ss");
    json.erase("sliding_window");
    refuse_config(json, {"sliding_window is missing"});
    json = with_types("ss");
    json["use_sliding_window"] = false;
    refuse_config(json, {"layer_types", "use_sliding_window is not true"});
}

TEST(huggingface_config, ids_beyond_the_vocabulary_are_ignored) {
    const Json json = {{"model_type", "gpt2"},
                       {"vocab_size", 100},
                       {"bos_token_id", 50256},
                       {"eos_token_id", {7, 100}},
                       {"pad_token_id", 99}};
    const ModelDescription model = model_from_json(json, "c");
    EXPECT_EQ(model.special.bos, -1);
    EXPECT_EQ(model.special.pad, 99);
    EXPECT_EQ(model.special.eos, std::vector<int>{7});
    EXPECT_EQ(model.ignored_ids, (std::vector<std::string>{"bos_token_id 50256", "eos_token_id 100"}));
}

TEST(huggingface_config, rates_of_dropout_that_differ) {
    const auto of = [](Json json) { return model_from_json(json, "c"); };
    EXPECT_EQ(of({{"model_type", "gpt2"}}).dropout_problem, "");
    const ModelDescription gpt2 = of({{"model_type", "gpt2"}, {"attn_pdrop", 0.0}});
    EXPECT_NE(gpt2.dropout_problem.find("attn_pdrop 0.0 is not the dropout of the other places, 0.1"),
              std::string::npos)
        << gpt2.dropout_problem;
    EXPECT_EQ(gpt2.config.dropout, 0.1f);
    const ModelDescription llama = of({{"model_type", "llama"}, {"attention_dropout", 0.1}});
    EXPECT_NE(llama.dropout_problem.find("attention_dropout 0.1"), std::string::npos);
    EXPECT_EQ(llama.config.dropout, 0);
}

// Read, computed, and written again where transformers looks for it; older files do not have the field.
TEST(huggingface_config, scores_by_layer) {
    const ModelDescription model =
        model_from_json({{"model_type", "gpt2"}, {"scale_attn_by_inverse_layer_idx", true}}, "c");
    EXPECT_TRUE(model.config.scores_by_layer);
    EXPECT_EQ(model.config.score_divisor(2), 3);
    const Json saved = to_json(model);
    EXPECT_EQ(saved["scale_attn_by_inverse_layer_idx"], true);
    EXPECT_EQ(saved["gpt_cu"]["scores_by_layer"], true);
    EXPECT_FALSE(to_json(ModelDescription{toy_gpt2(), {}})["gpt_cu"].contains("scores_by_layer"));
    Json changed = saved;  // by another program
    changed["scale_attn_by_inverse_layer_idx"] = false;
    refuse_config(changed, {"scores_by_layer"});
}

// A note names what may make a difference, and nothing else.
TEST(huggingface_config, keys_that_are_not_known) {
    Json json = {{"model_type", "llama"}, {"rope_theta", 1e4},        {"pretraining_tp", 1},
                 {"use_cache", true},     {"id2label", {{"0", "a"}}}, {"embedding_norm", nullptr}};
    EXPECT_EQ(model_from_json(json, "c").warnings, std::vector<std::string>{});
    json["embedding_multiplier"] = 12.0, json["evil\n\x1b[2J"] = 1;
    const std::vector<std::string> notes = model_from_json(json, "c").warnings;
    ASSERT_EQ(notes.size(), 1u);
    EXPECT_EQ(notes[0],
              "c: \"embedding_multiplier\", \"evil\\x0a\\x1b[2J\": not known here and ignored; if they change what "
              "the model computes, its results will be others");
    for (int i = 0; i < 20; i++) json["key" + std::to_string(i)] = 1;
    EXPECT_NE(model_from_json(json, "c").warnings[0].find(" and 14 more: "), std::string::npos);
    for (const ToyCase& k : toy_cases())
        EXPECT_EQ(model_from_json(to_json(ModelDescription{k.config, {}}), "c").warnings, std::vector<std::string>{})
            << k.name;
}

TEST(huggingface_config, code_that_comes_with_a_model_is_not_run_and_that_is_said) {
    Json json = to_json(ModelDescription{toy_gpt2(), {}});
    json["auto_map"] = {{"AutoModelForCausalLM", "modeling_custom.CustomForCausalLM"}};
    Captured error(Captured::Stream::error);
    model_from_json(json, "m/config.json");
    EXPECT_NE(error.take().find("warning: m/config.json: auto_map"), std::string::npos);
}

TEST(huggingface_config, our_config_and_theirs_must_agree) {
    const Json json = to_json(ModelDescription{toy_llama(), {}});
    const auto refuse = [](Json changed, std::initializer_list<std::string> words) { refuse_config(changed, words); };
    Json other = json;
    other["intermediate_size"] = 12;
    refuse(other, {"gpt_cu disagrees", "F: 10 there, 12 in the standard keys", "remove gpt_cu"});
    other = json, other["rope_theta"] = 5, other["rope_parameters"]["rope_theta"] = 5;
    refuse(other, {"rope_theta"});
    other = json, other["model_type"] = "qwen2", other["architectures"][0] = "Qwen2ForCausalLM";
    refuse(other, {"gpt_cu does not describe", "qwen2"});
    other = json, other["gpt_cu"].erase("T");
    refuse(other, {"gpt_cu: T is missing"});
    other = json, other["gpt_cu"]["later"] = 1;
    refuse(other, {"does not know"});
    other = json, other["gpt_cu"]["norm"] = "batchnorm";
    refuse(other, {"norm \"batchnorm\" is unknown"});
    other = json, other["gpt_cu"]["C"] = 0;
    refuse(other, {"width of 0"});
}
