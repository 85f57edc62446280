// model.safetensors: names, orientations and values of every family, in both directions.
#include "host/checkpoint/huggingface_weights.h"
#include <cmath>
#include "dev/test/support/expect_error.h"
#include "host/checkpoint/course_model.h"
#include "host/checkpoint/huggingface_config.h"
#include "host/checkpoint/model_files.h"
#include "host/checkpoint/optimizer_state.h"
#include "huggingface_case.h"

using safetensors::Dtype;

TEST(huggingface, weights_round_trip_byte_for_byte) {
    for (const ToyCase& k : toy_cases())
        for (const Dtype dtype : {Dtype::F32, Dtype::BF16}) {
            if (dtype == Dtype::BF16 && k.family != Family::qwen3) continue;
            SCOPED_TRACE(k.name);
            const Temporary one, two;
            const ToyModel model(k.config);
            save(one.path, model, dtype);
            const ToyModel again = load(one.path);
            for (const Parameter& parameter : model.layout().parameters)
                EXPECT_TRUE(dtype == Dtype::BF16 || again.get(parameter) == model.get(parameter)) << parameter.name;
            save(two.path, again, dtype);
            for (const char* file : {"/config.json", "/model.safetensors"})
                EXPECT_EQ(files::read_file(one.path.string() + file, 1 << 20),
                          files::read_file(two.path.string() + file, 1 << 20))
                    << file;
        }
}

// Saving goes in pieces: of a tensor as it is, and of whole lines of one that is transposed.
TEST(huggingface, large_tensors_round_trip) {
    const Temporary dir;
    const ToyModel model({.T = 8, .V = 1100, .L = 1, .C = 1000, .NH = 4, .NKV = 4, .HS = 250, .F = 1200});
    save(dir.path, model);
    const ToyModel again = load(dir.path);
    for (const Parameter& parameter : model.layout().parameters)
        EXPECT_EQ(again.get(parameter), model.get(parameter)) << parameter.name;
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
    const Config one_layer = with(toy_gpt2(), [](Config& c) {
        c.L = 1;
        c.tied = false;
    });
    save_weights(dir.path, {one_layer, {}}, ToyModel(one_layer).layout(), ToyModel(one_layer).get());
    EXPECT_EQ(
        names_and_shapes(dir / "model.safetensors"),
        "lm_head.weight [11, 8]\ntransformer.h.0.attn.c_attn.bias [24]\ntransformer.h.0.attn.c_attn.weight [8, 24]\n"
        "transformer.h.0.attn.c_proj.bias [8]\ntransformer.h.0.attn.c_proj.weight [8, 8]\ntransformer.h.0.ln_1.bias "
        "[8]\n"
        "transformer.h.0.ln_1.weight [8]\ntransformer.h.0.ln_2.bias [8]\ntransformer.h.0.ln_2.weight [8]\n"
        "transformer.h.0.mlp.c_fc.bias [10]\ntransformer.h.0.mlp.c_fc.weight [8, 10]\ntransformer.h.0.mlp.c_proj.bias "
        "[8]\n"
        "transformer.h.0.mlp.c_proj.weight [10, 8]\ntransformer.ln_f.bias [8]\ntransformer.ln_f.weight [8]\n"
        "transformer.wpe.weight [6, 8]\ntransformer.wte.weight [11, 8]\n");
    const Temporary other;
    const Config qwen3 = with(toy_qwen3(), [](Config& c) { c.L = 1; });
    save_weights(other.path, {qwen3, {}}, ToyModel(qwen3).layout(), ToyModel(qwen3).get());
    EXPECT_EQ(names_and_shapes(other / "model.safetensors"),
              "lm_head.weight [11, 8]\nmodel.embed_tokens.weight [11, 8]\nmodel.layers.0.input_layernorm.weight [8]\n"
              "model.layers.0.mlp.down_proj.weight [8, 10]\nmodel.layers.0.mlp.gate_proj.weight [10, "
              "8]\nmodel.layers.0.mlp.up_proj.weight [10, 8]\n"
              "model.layers.0.post_attention_layernorm.weight [8]\nmodel.layers.0.self_attn.k_norm.weight [6]\n"
              "model.layers.0.self_attn.k_proj.weight [12, 8]\nmodel.layers.0.self_attn.o_proj.weight [8, 24]\n"
              "model.layers.0.self_attn.q_norm.weight [6]\nmodel.layers.0.self_attn.q_proj.weight [24, 8]\n"
              "model.layers.0.self_attn.v_proj.weight [12, 8]\nmodel.norm.weight [8]\n");
}

TEST(huggingface, values_land_where_they_should) {
    const Temporary a, b;
    const ToyModel gpt2(toy_gpt2()), cs336(with(toy_cs336(), [](Config&c) {
        c.HS = 4;
        c.NH = 2, c.NKV = 1;
    }));
    const auto parameter = [](const ToyModel& model, const std::string& name) {
        for (const Parameter& r : model.layout().parameters)
            if (r.name == name) return model.values(r);
        throw std::runtime_error(name);
    };
    save(a.path, gpt2);
    const std::vector<float> attn = tensor(a.path, "transformer.h.1.attn.c_attn.weight");  // (in, out)
    for (int in = 0; in < 8; in++)
        for (int out = 0; out < 24; out++)
            ASSERT_EQ(attn[in * 24 + out], parameter(gpt2, "h.1.qkv.weight")[out * 8 + in]);

    save(b.path, cs336);
    const float* qkv = parameter(cs336, "h.0.qkv.weight");
    const std::vector<float> q = tensor(b.path, "model.layers.0.self_attn.q_proj.weight"),
                             k = tensor(b.path, "model.layers.0.self_attn.k_proj.weight"),
                             v = tensor(b.path, "model.layers.0.self_attn.v_proj.weight"),
                             up = tensor(b.path, "model.layers.0.mlp.up_proj.weight");
    const int order[] = {0, 2, 1, 3};  // pair i of a head of 4: (2i, 2i+1) here, (i, i+2) there
    for (int c = 0; c < 8; c++) {
        for (int h = 0; h < 2; h++)
            for (int i = 0; i < 4; i++) ASSERT_EQ(q[(h * 4 + i) * 8 + c], qkv[(h * 4 + order[i]) * 8 + c]);
        for (int i = 0; i < 4; i++) ASSERT_EQ(k[i * 8 + c], qkv[(8 + order[i]) * 8 + c]);
        for (int i = 0; i < 4; i++) ASSERT_EQ(v[i * 8 + c], qkv[(12 + i) * 8 + c]);
        ASSERT_EQ(up[3 * 8 + c], parameter(cs336, "h.0.up.weight")[13 * 8 + c]);
    }
}

TEST(huggingface, other_programs_spellings) {
    const Temporary dir;
    const ToyModel model(toy_gpt2());
    save(dir.path, model);
    std::vector<Named> tensors = read_tensors(dir / "model.safetensors");
    for (Named& t : tensors) t.name = t.name.substr(std::string("transformer.").size());  // as the published gpt2
    tensors.push_back({"h.0.attn.bias", {1, 1, 6, 6}, std::vector<float>(36, 1)});
    tensors.push_back({"h.0.attn.masked_bias", {}, {-1e4f}});
    tensors.push_back({"lm_head.weight", {11, 8}, std::vector<float>(88, 7)});  // redundant where the head is tied
    write_tensors(dir / "model.safetensors", tensors);
    const ToyModel again = load(dir.path);
    for (const Parameter& parameter : model.layout().parameters)
        EXPECT_EQ(again.get(parameter), model.get(parameter)) << parameter.name;
}

// The course's state dict: its own names, RoPE's pairs side by side, and torch.compile's prefix.
TEST(huggingface, state_dict_of_the_course) {
    const Config c = with(toy_cs336(), [](Config& c) { c.HS = 4, c.NH = c.NKV = 2, c.norm_eps = 1e-5f; });
    const ToyModel model(c);
    const auto parameter = [&](const std::string& name) {
        for (const Parameter& r : model.layout().parameters)
            if (r.name == name) return model.get(r);
        throw std::runtime_error(name);
    };
    std::vector<Named> tensors;
    const auto put = [&](const std::string& theirs, const std::vector<float>& from, size_t first, size_t rows,
                         size_t width) {
        const auto begin = from.begin() + std::ptrdiff_t(first * width);
        const std::vector<uint64_t> shape =
            width > 1 ? std::vector<uint64_t>{rows, width} : std::vector<uint64_t>{rows};
        tensors.push_back({"_orig_mod." + theirs, shape, {begin, begin + std::ptrdiff_t(rows * width)}});
    };
    put("token_embeddings.weight", parameter("wte"), 0, 11, 8), put("lm_head.weight", parameter("head"), 0, 11, 8);
    put("ln_final.weight", parameter("norm_f.weight"), 0, 8, 1);
    for (const std::string l : {"0", "1"}) {
        const std::string ours = "h." + l + ".", theirs = "layers." + l + ".";
        put(theirs + "attn.q_proj.weight", parameter(ours + "qkv.weight"), 0, 8, 8);
        put(theirs + "attn.k_proj.weight", parameter(ours + "qkv.weight"), 8, 8, 8);
        put(theirs + "attn.v_proj.weight", parameter(ours + "qkv.weight"), 16, 8, 8);
        put(theirs + "attn.output_proj.weight", parameter(ours + "proj.weight"), 0, 8, 8);
        put(theirs + "ln1.weight", parameter(ours + "norm1.weight"), 0, 8, 1);
        put(theirs + "ln2.weight", parameter(ours + "norm2.weight"), 0, 8, 1);
        put(theirs + "ffn.w1.weight", parameter(ours + "up.weight"), 0, 10, 8);
        put(theirs + "ffn.w3.weight", parameter(ours + "up.weight"), 10, 10, 8);
        put(theirs + "ffn.w2.weight", parameter(ours + "down.weight"), 0, 8, 10);
    }
    const Temporary dir;
    write_tensors(dir / "model.safetensors", tensors);
    const Json course = {{"vocab_size", 11}, {"context_length", 6}, {"d_model", 8},         {"num_layers", 2},
                         {"num_heads", 2},   {"d_ff", 10},          {"rope_theta", 10000.0}};
    write_json(dir / "model_config.json", course);
    const ToyModel again = load(dir.path);
    EXPECT_EQ(again.gpt.c.rope_pairs, RopePairs::interleaved);
    for (const Parameter& r : model.layout().parameters) EXPECT_EQ(again.get(r), model.get(r)) << r.name;

    // With Hugging Face's config.json for the same sizes the pairs are brought apart on the way in: the same function.
    write_json(dir / "config.json", to_json(ModelDescription{model.gpt.c, {}}));
    forget_our_config(dir.path);
    ToyModel half = load(dir.path), same(c);
    EXPECT_EQ(half.gpt.c.rope_pairs, RopePairs::half);
    const std::vector<float> a = same.logits(), b = half.logits();
    for (size_t i = 0; i < a.size(); i++) ASSERT_NEAR(a[i], b[i], 1e-5 * (1 + std::abs(a[i]))) << i;

    for (const char* key : {"vocab_size", "context_length", "d_model", "num_layers", "num_heads", "d_ff"}) {
        Json bad = course;
        bad.erase(key);
        expect_error(Exit::input, {"model_config.json", key, "is missing"},
                     [&] { course_model_from_json(bad, "model_config.json"); });
    }
    Json bad = course;
    bad["num_heads"] = 3;
    expect_error(Exit::input, {"d_model must be a multiple of num_heads"}, [&] { course_model_from_json(bad, "m"); });
}

// GPT-2's matrices are (in, out); those of somebody who transposed them do not fit.
// Other types than floats are not weights.
TEST(huggingface, turned_and_quantised_tensors_are_refused) {
    const Temporary dir;
    const ToyModel model(toy_gpt2());
    save(dir.path, model);
    std::vector<Named> tensors = read_tensors(dir / "model.safetensors");
    for (Named& t : tensors)
        if (t.name == "transformer.h.0.mlp.c_fc.weight") std::swap(t.shape[0], t.shape[1]);
    write_tensors(dir / "model.safetensors", tensors);
    expect_error(Exit::input, {"h.0.mlp.c_fc.weight is [10, 8]", "asks for [8, 10]"}, [&] { load(dir.path); });
    for (const std::string type : {"I8", "F8_E4M3", "U8", "BOOL"}) {
        const std::string header =
            R"({"transformer.wte.weight":{"dtype":")" + type + R"(","shape":[11,8],"data_offsets":[0,88]}})";
        const uint64_t n = header.size();
        overwrite(dir / "model.safetensors",
                  std::string(reinterpret_cast<const char*>(&n), 8) + header + std::string(88, '\0'));
        expect_error(Exit::input, {"transformer.wte.weight", type + " is not supported", "F32, BF16"},
                     [&] { load(dir.path); });
    }
}

TEST(huggingface, wrong_tensors_are_refused_before_any_is_set) {
    const Temporary dir;
    const ToyModel model(toy_llama());
    save(dir.path, model);
    const std::string path = dir / "model.safetensors";
    const std::vector<Named> good = read_tensors(path);
    const auto refuse = [&](std::initializer_list<std::string> words) {
        expect_error(Exit::input, words, [&] {
            load_weights(dir.path, model.gpt.c, model.layout(),
                         [](const Parameter& parameter, std::span<const float>) { FAIL() << parameter.name; });
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
        const ToyModel model(with(toy_gpt2(), [](Config& c) {
            c.qkv_bias = false;
            c.position = Position::sinusoidal;
        }));
        save(dir.path, model);
        std::vector<Named> tensors = read_tensors(dir / "model.safetensors");
        for (Named& t : tensors)
            if (t.name == name) t.values[3] += 0.01f;  // another program has trained it
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
        model.values(model.layout().parameters[3])[5] = bad;
        expect_error(Exit::numeric, {"element 5 is"}, [&] { save(dir.path, model); });
        expect_error(Exit::numeric, {"m.", "element 5 is"}, [&] {
            save_parameters(dir / "o", model.layout(), {{"m", model.get()}});
        });
    }
}

TEST(huggingface, rows_of_the_optimiser) {
    const Temporary dir;
    const ToyModel m(toy_qwen3(), 1), v(toy_qwen3(), 2), m2(toy_qwen3(), 3), v2(toy_qwen3(), 4);
    const WrittenFile written =
        save_parameters(dir / "optimizer.safetensors", m.layout(), {{"m", m.get()}, {"v", v.get()}});
    EXPECT_EQ(written.name, "optimizer.safetensors");
    EXPECT_EQ(written.hash, files::hash_file(dir / "optimizer.safetensors"));
    load_parameters(dir / "optimizer.safetensors", m.layout(), {{"m", m2.set()}, {"v", v2.set()}});
    for (const Parameter& parameter : m.layout().parameters) {
        EXPECT_EQ(m2.get(parameter), m.get(parameter)) << parameter.name;
        EXPECT_EQ(v2.get(parameter), v.get(parameter)) << parameter.name;
    }
    const std::string path = dir / "optimizer.safetensors";
    expect_error(Exit::input, {path, "master.wte is missing"}, [&] {
        load_parameters(path, m.layout(), {{"m", m2.set()}, {"master", v2.set()}});
    });
    expect_error(Exit::input, {path, "no place"}, [&] { load_parameters(path, m.layout(), {{"m", m2.set()}}); });
    const ToyModel wider(with(toy_qwen3(), [](Config& c) { c.F = 11; }));
    expect_error(Exit::input, {path, "h.0.up.weight", "does not fit"}, [&] {
        load_parameters(path, wider.layout(), {{"m", wider.set()}, {"v", wider.set()}});
    });
}
