// Hugging Face directories: names, orientations and values of every family, in both directions.
#include "host/huggingface.h"
#include <cmath>
#include "dev/expect_error.h"
#include "dev/temporary.h"
#include "dev/toy_model.h"

using safetensors::Dtype;

namespace {

void write_json(const std::string& path, const Json& json) { overwrite(path, to_text(json)); }

ModelDescription save(const std::string& directory, const ToyModel& model, Dtype dtype = Dtype::F32) {
    const ModelDescription description = {model.gpt.c, {}, dtype};
    write_json(directory + "/config.json", to_json(description));
    save_weights(directory, description, model.layout(), model.get());
    return description;
}

// The model in a directory, by what its config.json says.
ToyModel load(const std::string& directory) {
    ToyModel model(read_model_description(directory).config, 99);
    load_weights(directory, model.gpt.c, model.layout(), model.set());
    return model;
}

void forget_our_config(const std::string& directory) {
    Json json = read_json(directory + "/config.json");
    json.erase("gpt_cu");
    write_json(directory + "/config.json", json);
}

std::vector<float> tensor(const std::string& directory, const std::string& name) {
    const safetensors::Reader reader(directory + "/model.safetensors");
    const safetensors::Tensor* t = reader.find(name);
    if (!t) throw std::runtime_error("no tensor " + name);
    std::vector<float> values(t->elements());
    reader.read(values, *t);
    return values;
}

// Writes tensors by hand, as other programs would.
struct Named { std::string name; std::vector<uint64_t> shape; std::vector<float> values; };
void write_tensors(const std::string& path, const std::vector<Named>& tensors) {
    std::vector<safetensors::Tensor> list;
    for (const Named& t : tensors) list.push_back({t.name, Dtype::F32, t.shape});
    std::filesystem::remove(path);
    safetensors::Writer writer(path, list);
    for (const safetensors::Tensor& t : writer.tensors())
        for (const Named& n : tensors) if (n.name == t.name) writer.write(n.values);
    writer.close();
}
std::vector<Named> read_tensors(const std::string& path) {
    const safetensors::Reader reader(path);
    std::vector<Named> tensors;
    for (const safetensors::Tensor& t : reader.tensors()) {
        tensors.push_back({t.name, t.shape, std::vector<float>(t.elements())});
        reader.read(tensors.back().values, t);
    }
    return tensors;
}

std::string names_and_shapes(const std::string& path) {
    std::string text;
    for (const Named& t : read_tensors(path)) text += t.name + " " + safetensors::shape_text(t.shape) + "\n";
    return text;
}

void refuse_config(const Json& json, std::initializer_list<std::string> words) {
    expect_error(Exit::input, words, [&] { model_from_json(json, "m/config.json"); });
}

}  // namespace

TEST(huggingface, config_round_trip) {
    for (const ToyCase& k : toy_cases()) {
        SCOPED_TRACE(k.name);
        EXPECT_EQ(family_of(k.config), k.family);
        const ModelDescription model = {k.config, {1, 2, {3, 4}}, Dtype::BF16};
        const ModelDescription again = model_from_json(parse_json(to_text(to_json(model)), "config.json"), "config.json");
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

TEST(huggingface, configs_of_published_models) {
    const Config gpt2 = model_from_json(parse_json(R"({"activation_function":"gelu_new","architectures":["GPT2LMHeadModel"],"attn_pdrop":0.1,
        "bos_token_id":50256,"embd_pdrop":0.1,"eos_token_id":50256,"initializer_range":0.02,"layer_norm_epsilon":1e-05,"model_type":"gpt2",
        "n_ctx":1024,"n_embd":768,"n_head":12,"n_layer":12,"n_positions":1024,"resid_pdrop":0.1,"summary_type":"cls_index",
        "task_specific_params":{"text-generation":{"do_sample":true,"max_length":50}},"vocab_size":50257})", "c"), "c").config;
    EXPECT_EQ(to_json(gpt2), to_json(with(find_preset("gpt2")[0], [](Config& c) { c.dropout = 0.1f; })));

    const char* llama4 = R"({"architectures":["LlamaForCausalLM"],"attention_bias":false,"bos_token_id":128000,"eos_token_id":[128001,128008],
        "head_dim":64,"hidden_act":"silu","hidden_size":2048,"initializer_range":0.02,"intermediate_size":8192,"max_position_embeddings":131072,
        "mlp_bias":false,"model_type":"llama","num_attention_heads":32,"num_hidden_layers":16,"num_key_value_heads":8,"pretraining_tp":1,
        "rms_norm_eps":1e-05,"rope_scaling":{"factor":32.0,"high_freq_factor":4.0,"low_freq_factor":1.0,"original_max_position_embeddings":8192,
        "rope_type":"llama3"},"rope_theta":500000.0,"tie_word_embeddings":true,"torch_dtype":"bfloat16","use_cache":true,"vocab_size":128256})";
    const ModelDescription llama = model_from_json(parse_json(llama4, "c"), "c");
    EXPECT_EQ(to_json(llama.config), to_json(*find_preset("llama3.2-1b")));
    EXPECT_EQ(llama.dtype, Dtype::BF16);
    EXPECT_EQ(llama.special.eos, (std::vector<int>{128001, 128008}));
    Json llama5 = parse_json(llama4, "c");               // as transformers 5 writes it
    llama5["rope_parameters"] = llama5["rope_scaling"];
    llama5["rope_parameters"]["rope_theta"] = llama5["rope_theta"];
    llama5.erase("rope_scaling"), llama5.erase("rope_theta");
    llama5["dtype"] = llama5["torch_dtype"], llama5.erase("torch_dtype");
    EXPECT_EQ(to_json(model_from_json(llama5, "c")), to_json(llama));

    const Config qwen2 = model_from_json(parse_json(R"({"architectures":["Qwen2ForCausalLM"],"attention_dropout":0.0,"bos_token_id":151643,
        "eos_token_id":151643,"hidden_act":"silu","hidden_size":896,"initializer_range":0.02,"intermediate_size":4864,"max_position_embeddings":32768,
        "max_window_layers":24,"model_type":"qwen2","num_attention_heads":14,"num_hidden_layers":24,"num_key_value_heads":2,"rms_norm_eps":1e-06,
        "rope_theta":1000000.0,"sliding_window":32768,"tie_word_embeddings":true,"use_mrope":false,"use_sliding_window":false,"vocab_size":151936})", "c"), "c").config;
    EXPECT_EQ(to_json(qwen2), to_json(*find_preset("qwen2.5-0.5b")));

    const Config qwen3 = model_from_json(parse_json(R"({"architectures":["Qwen3ForCausalLM"],"attention_bias":false,"head_dim":128,"hidden_act":"silu",
        "hidden_size":1024,"intermediate_size":3072,"max_position_embeddings":40960,"max_window_layers":28,"model_type":"qwen3","num_attention_heads":16,
        "num_hidden_layers":28,"num_key_value_heads":8,"rms_norm_eps":1e-06,"rope_scaling":null,"rope_theta":1000000,"sliding_window":null,
        "tie_word_embeddings":true,"use_sliding_window":false,"vocab_size":151936.0})", "c"), "c").config;
    EXPECT_EQ(to_json(qwen3), to_json(*find_preset("qwen3-0.6b")));
}

TEST(huggingface, what_we_cannot_do_is_refused_by_name) {
    const Json gpt2 = {{"model_type", "gpt2"}}, llama = {{"model_type", "llama"}, {"rope_theta", 10000}};
    EXPECT_EQ(model_from_json(gpt2, "c").config.C, 768);
    EXPECT_EQ(model_from_json(llama, "c").config.C, 4096);
    const auto refuse = [](Json json, const char* key, const Json& value, std::initializer_list<std::string> words) {
        json[key] = value;
        refuse_config(json, words);
    };
    refuse_config(Json::array(), {"m/config.json", "must be a JSON object"});
    refuse_config({{"model_type", "mistral"}}, {"model_type \"mistral\" is not supported", "LlamaForCausalLM"});
    refuse_config({{"vocab_size", 5}}, {"model_type \"\""});
    refuse(llama, "architectures", {"LlamaForSequenceClassification"}, {"LlamaForSequenceClassification is not supported"});
    refuse(llama, "architectures", {"MistralForCausalLM"}, {"MistralForCausalLM"});
    refuse(llama, "quantization_config", {{"bits", 4}}, {"quantization_config"});
    refuse(llama, "num_local_experts", 8, {"num_local_experts", "mixtures"});
    refuse(llama, "use_sliding_window", true, {"use_sliding_window"});
    refuse(llama, "layer_types", {"full_attention", "sliding_attention"}, {"layer_types", "sliding_attention"});
    refuse(llama, "rope_scaling", {{"rope_type", "yarn"}, {"factor", 4}}, {"rope_type", "yarn"});
    refuse(llama, "rope_scaling", {{"type", "linear"}, {"factor", 4}}, {"linear"});
    refuse(llama, "rope_parameters", {{"full_attention", {{"rope_theta", 1}}}}, {"full_attention"});
    refuse(llama, "rope_scaling", {{"rope_type", "llama3"}}, {"factor", "missing"});
    refuse(llama, "partial_rotary_factor", 0.5, {"partial_rotary_factor"});
    refuse(llama, "attention_dropout", 0.1, {"attention_dropout"});
    refuse(llama, "hidden_act", "gelu", {"hidden_act", "gelu"});
    refuse(llama, "num_attention_heads", 3, {"hidden_size", "multiple"});
    refuse(llama, "num_key_value_heads", 5, {"32 heads", "5 key/value"});
    refuse(llama, "num_attention_heads", 0, {"multiple"});
    refuse(gpt2, "activation_function", "gelu", {"activation_function", "gelu"});
    refuse(gpt2, "attn_pdrop", 0.2, {"attn_pdrop", "resid_pdrop"});
    refuse(gpt2, "scale_attn_weights", false, {"scale_attn_weights"});
    refuse(gpt2, "scale_attn_by_inverse_layer_idx", true, {"scale_attn_by_inverse_layer_idx"});
    refuse(gpt2, "add_cross_attention", true, {"add_cross_attention"});
    for (const Json& bad : {Json(768.5), Json("768"), Json(-1), Json(0), Json(1e30), Json(uint64_t(1) << 63), Json::array(), Json(true)}) {
        refuse(gpt2, "vocab_size", bad, {"vocab"});
        refuse(gpt2, "n_layer", bad, {"layer"});
        refuse(gpt2, "n_embd", bad, {});
    }
    refuse(gpt2, "n_layer", 1'000'000'000, {"number of layers"});
    refuse(gpt2, "eos_token_id", 50257, {"eos_token_id"});
    refuse(gpt2, "bos_token_id", "x", {"bos_token_id"});
    EXPECT_EQ(model_from_json({{"model_type", "gpt2"}, {"n_embd", 768.0}, {"n_inner", nullptr}}, "c").config.F, 3072);
}

TEST(huggingface, our_config_and_theirs_must_agree) {
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

TEST(huggingface, weights_round_trip_byte_for_byte) {
    for (const ToyCase& k : toy_cases())
        for (const Dtype dtype : {Dtype::F32, Dtype::BF16}) {
            if (dtype == Dtype::BF16 && k.family != Family::qwen3) continue;
            SCOPED_TRACE(k.name);
            const Temporary one, two;
            const ToyModel model(k.config);
            save(one.path, model, dtype);
            const ToyModel again = load(one.path);
            for (const Row& row : model.layout().rows)
                EXPECT_TRUE(dtype == Dtype::BF16 || again.get()(row) == model.get()(row)) << row.name;
            save(two.path, again, dtype);
            for (const char* file : {"/config.json", "/model.safetensors"})
                EXPECT_EQ(files::read_file(one.path.string() + file, 1 << 20), files::read_file(two.path.string() + file, 1 << 20)) << file;
        }
}

// Interleaved pairs, absent biases and sinusoids become ordinary weights; the function stays the same.
TEST(huggingface, the_standard_keys_alone_give_the_same_model) {
    for (const ToyCase& k : toy_cases()) {
        if (k.family == Family::native) continue;
        SCOPED_TRACE(k.name);
        const Temporary dir;
        ToyModel model(k.config);
        save(dir.path, model);
        forget_our_config(dir.path);
        ToyModel standard = load(dir.path);
        EXPECT_EQ(standard.gpt.c.rope_pairs, RopePairs::half);
        const std::vector<float> a = model.logits(), b = standard.logits();
        ASSERT_EQ(a.size(), b.size());
        for (size_t i = 0; i < a.size(); i++) ASSERT_NEAR(a[i], b[i], 1e-5 * (1 + std::abs(a[i]))) << i;
    }
}

TEST(huggingface, names_and_shapes) {
    const Temporary dir;
    const Config one_layer = with(toy_gpt2(), [](Config& c) { c.L = 1; c.tied = false; });
    save_weights(dir.path, {one_layer, {}}, ToyModel(one_layer).layout(), ToyModel(one_layer).get());
    EXPECT_EQ(names_and_shapes(dir / "model.safetensors"),
              "lm_head.weight [11, 8]\ntransformer.h.0.attn.c_attn.bias [24]\ntransformer.h.0.attn.c_attn.weight [8, 24]\n"
              "transformer.h.0.attn.c_proj.bias [8]\ntransformer.h.0.attn.c_proj.weight [8, 8]\ntransformer.h.0.ln_1.bias [8]\n"
              "transformer.h.0.ln_1.weight [8]\ntransformer.h.0.ln_2.bias [8]\ntransformer.h.0.ln_2.weight [8]\n"
              "transformer.h.0.mlp.c_fc.bias [10]\ntransformer.h.0.mlp.c_fc.weight [8, 10]\ntransformer.h.0.mlp.c_proj.bias [8]\n"
              "transformer.h.0.mlp.c_proj.weight [10, 8]\ntransformer.ln_f.bias [8]\ntransformer.ln_f.weight [8]\n"
              "transformer.wpe.weight [6, 8]\ntransformer.wte.weight [11, 8]\n");
    const Temporary other;
    const Config qwen3 = with(toy_qwen3(), [](Config& c) { c.L = 1; });
    save_weights(other.path, {qwen3, {}}, ToyModel(qwen3).layout(), ToyModel(qwen3).get());
    EXPECT_EQ(names_and_shapes(other / "model.safetensors"),
              "lm_head.weight [11, 8]\nmodel.embed_tokens.weight [11, 8]\nmodel.layers.0.input_layernorm.weight [8]\n"
              "model.layers.0.mlp.down_proj.weight [8, 10]\nmodel.layers.0.mlp.gate_proj.weight [10, 8]\nmodel.layers.0.mlp.up_proj.weight [10, 8]\n"
              "model.layers.0.post_attention_layernorm.weight [8]\nmodel.layers.0.self_attn.k_norm.weight [6]\n"
              "model.layers.0.self_attn.k_proj.weight [12, 8]\nmodel.layers.0.self_attn.o_proj.weight [8, 24]\n"
              "model.layers.0.self_attn.q_norm.weight [6]\nmodel.layers.0.self_attn.q_proj.weight [24, 8]\n"
              "model.layers.0.self_attn.v_proj.weight [12, 8]\nmodel.norm.weight [8]\n");
}

TEST(huggingface, values_land_where_they_should) {
    const Temporary a, b;
    const ToyModel gpt2(toy_gpt2()), cs336(with(toy_cs336(), [](Config& c) { c.HS = 4; c.NH = 2, c.NKV = 1; }));
    const auto row = [](const ToyModel& model, const std::string& name) {
        for (const Row& r : model.layout().rows) if (r.name == name) return model.values(r);
        throw std::runtime_error(name);
    };
    save(a.path, gpt2);
    const std::vector<float> attn = tensor(a.path, "transformer.h.1.attn.c_attn.weight");     // (in, out)
    for (int in = 0; in < 8; in++) for (int out = 0; out < 24; out++) ASSERT_EQ(attn[in * 24 + out], row(gpt2, "h.1.qkv.weight")[out * 8 + in]);

    save(b.path, cs336);
    const float* qkv = row(cs336, "h.0.qkv.weight");
    const std::vector<float> q = tensor(b.path, "model.layers.0.self_attn.q_proj.weight"), k = tensor(b.path, "model.layers.0.self_attn.k_proj.weight"),
                             v = tensor(b.path, "model.layers.0.self_attn.v_proj.weight"), up = tensor(b.path, "model.layers.0.mlp.up_proj.weight");
    const int order[] = {0, 2, 1, 3};                     // pair i of a head of 4: (2i, 2i+1) here, (i, i+2) there
    for (int c = 0; c < 8; c++) {
        for (int h = 0; h < 2; h++) for (int i = 0; i < 4; i++) ASSERT_EQ(q[(h * 4 + i) * 8 + c], qkv[(h * 4 + order[i]) * 8 + c]);
        for (int i = 0; i < 4; i++) ASSERT_EQ(k[i * 8 + c], qkv[(8 + order[i]) * 8 + c]);
        for (int i = 0; i < 4; i++) ASSERT_EQ(v[i * 8 + c], qkv[(12 + i) * 8 + c]);
        ASSERT_EQ(up[3 * 8 + c], row(cs336, "h.0.up.weight")[13 * 8 + c]);
    }
}

TEST(huggingface, other_programs_spellings) {
    const Temporary dir;
    const ToyModel model(toy_gpt2());
    save(dir.path, model);
    std::vector<Named> tensors = read_tensors(dir / "model.safetensors");
    for (Named& t : tensors) t.name = t.name.substr(std::string("transformer.").size());      // as the published gpt2
    tensors.push_back({"h.0.attn.bias", {1, 1, 6, 6}, std::vector<float>(36, 1)});
    tensors.push_back({"h.0.attn.masked_bias", {}, {-1e4f}});
    tensors.push_back({"lm_head.weight", {11, 8}, std::vector<float>(88, 7)});                // redundant where the head is tied
    write_tensors(dir / "model.safetensors", tensors);
    const ToyModel again = load(dir.path);
    for (const Row& row : model.layout().rows) EXPECT_EQ(again.get()(row), model.get()(row)) << row.name;
}

TEST(huggingface, wrong_tensors_are_refused_before_any_is_set) {
    const Temporary dir;
    const ToyModel model(toy_llama());
    save(dir.path, model);
    const std::string path = dir / "model.safetensors";
    const std::vector<Named> good = read_tensors(path);
    const auto refuse = [&](std::initializer_list<std::string> words) {
        expect_error(Exit::input, words, [&] {
            load_weights(dir.path, model.gpt.c, model.layout(), [](const Row& row, std::span<const float>) { FAIL() << row.name; });
        });
        expect_error(Exit::input, words, [&] { check_weights(dir.path, model.gpt.c, model.layout()); });
    };
    check_weights(dir.path, model.gpt.c, model.layout());
    for (size_t i = 0; i < good.size(); i++) {
        std::vector<Named> bad = good;
        bad.erase(bad.begin() + i);
        write_tensors(path, bad);
        refuse({path, good[i].name, "is missing"});
        bad = good;
        bad[i].shape.insert(bad[i].shape.begin(), 1);
        write_tensors(path, bad);
        refuse({path, good[i].name, "config.json asks for"});
    }
    std::vector<Named> bad = good;
    bad.push_back({"model.layers.0.self_attn.q_proj.bias", {16}, std::vector<float>(16)});
    write_tensors(path, bad);
    refuse({path, "q_proj.bias has no place"});
    std::filesystem::remove(path);
    refuse({path, "No such file"});
    overwrite(dir / "pytorch_model.bin", "\x80");
    refuse({"pickle"});
}

TEST(huggingface, constants_of_ours_must_still_be_constant) {
    for (const char* name : {"transformer.h.0.attn.c_attn.bias", "transformer.wpe.weight"}) {
        SCOPED_TRACE(name);
        const Temporary dir;
        const ToyModel model(with(toy_gpt2(), [](Config& c) { c.qkv_bias = false; c.position = Position::sinusoidal; }));
        save(dir.path, model);
        std::vector<Named> tensors = read_tensors(dir / "model.safetensors");
        for (Named& t : tensors) if (t.name == name) t.values[3] += 0.01f;     // another program has trained it
        write_tensors(dir / "model.safetensors", tensors);
        expect_error(Exit::input, {"model.safetensors", name, "remove gpt_cu"}, [&] { load(dir.path); });
        forget_our_config(dir.path);
        load(dir.path);
    }
}

TEST(huggingface, values_that_are_not_finite_are_not_saved) {
    for (const float bad : {NAN, INFINITY}) {
        const Temporary dir;
        const ToyModel model(toy_llama());
        model.values(model.layout().rows[3])[5] = bad;
        expect_error(Exit::numeric, {"element 5 is"}, [&] { save(dir.path, model); });
        expect_error(Exit::numeric, {"m.", "element 5 is"}, [&] { save_rows(dir / "o", model.layout(), {{"m", model.get()}}); });
    }
}

TEST(huggingface, shards) {
    const Temporary dir;
    const ToyModel model(toy_qwen2());
    save(dir.path, model);
    const std::string whole = dir / "model.safetensors", index = dir / "model.safetensors.index.json";
    std::vector<Named> parts[2];
    Json map;
    for (const Named& t : read_tensors(whole)) {
        const int part = map["weight_map"].size() % 2;
        parts[part].push_back(t);
        map["weight_map"][t.name] = part ? "b.safetensors" : "a.safetensors";
    }
    std::filesystem::remove(whole);
    write_tensors(dir / "a.safetensors", parts[0]);
    write_tensors(dir / "b.safetensors", parts[1]);
    write_json(index, map);
    const ToyModel again = load(dir.path);
    for (const Row& row : model.layout().rows) EXPECT_EQ(again.get()(row), model.get()(row)) << row.name;

    const std::string name = parts[1][0].name;
    const auto refuse = [&](const Json& json, std::initializer_list<std::string> words) {
        write_json(index, json);
        expect_error(Exit::input, words, [&] { load(dir.path); });
    };
    for (const char* bad : {"../b.safetensors", "/etc/passwd", "..", "", "x/b.safetensors"}) {
        Json json = map;
        json["weight_map"][name] = bad;
        refuse(json, {"index.json", name, "is not the name of a file beside it"});
    }
    Json json = map;
    json["weight_map"][name] = "a.safetensors";
    refuse(json, {"a.safetensors", name, "is missing"});
    json = map, json["weight_map"][name] = 5;
    refuse(json, {name, "is not the name"});
    json = map, json["weight_map"]["model.more"] = "c.safetensors";
    refuse(json, {"c.safetensors", "No such file"});
    refuse({{"weight_map", Json::object()}}, {"weight_map"});
    refuse(Json::array(), {"weight_map"});
    parts[0].push_back(parts[1][0]);
    write_tensors(dir / "a.safetensors", parts[0]);
    refuse(map, {name, "stands in another shard too"});
}

TEST(huggingface, rows_of_the_optimiser) {
    const Temporary dir;
    const ToyModel m(toy_qwen3(), 1), v(toy_qwen3(), 2), m2(toy_qwen3(), 3), v2(toy_qwen3(), 4);
    const WrittenFile written = save_rows(dir / "optimizer.safetensors", m.layout(), {{"m", m.get()}, {"v", v.get()}});
    EXPECT_EQ(written.name, "optimizer.safetensors");
    EXPECT_EQ(written.hash, files::hash_file(dir / "optimizer.safetensors"));
    load_rows(dir / "optimizer.safetensors", m.layout(), {{"m", m2.set()}, {"v", v2.set()}});
    for (const Row& row : m.layout().rows) {
        EXPECT_EQ(m2.get()(row), m.get()(row)) << row.name;
        EXPECT_EQ(v2.get()(row), v.get()(row)) << row.name;
    }
    const std::string path = dir / "optimizer.safetensors";
    expect_error(Exit::input, {path, "master.wte is missing"}, [&] { load_rows(path, m.layout(), {{"m", m2.set()}, {"master", v2.set()}}); });
    expect_error(Exit::input, {path, "no place"}, [&] { load_rows(path, m.layout(), {{"m", m2.set()}}); });
    const ToyModel wider(with(toy_qwen3(), [](Config& c) { c.F = 11; }));
    expect_error(Exit::input, {path, "h.0.up.weight", "does not fit"}, [&] { load_rows(path, wider.layout(), {{"m", wider.set()}, {"v", wider.set()}}); });
}
