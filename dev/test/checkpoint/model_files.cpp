// What a model's directory says in several places, and what lies there besides the model.
#include "host/checkpoint/model_files.h"
#include <cmath>
#include <limits>
#include "dev/test/support/expect_error.h"
#include "host/checkpoint/checkpoint.h"
#include "huggingface_case.h"

namespace {

void change(const std::string& path, const std::string& key, const Json& value) {
    Json json = read_json(path);
    json[key] = value;
    write_json(path, json);
}

CheckpointContents contents_of(const ToyModel& model) {
    CheckpointContents contents;
    contents.step = 1;
    contents.model.config = model.gpt.c;
    contents.layout = &model.layout();
    contents.weights = model.get();
    contents.texts = {{"tokenizer.json", "{}"}};
    return contents;
}

void flip_bit(const std::string& path, uint64_t at) {
    std::string bytes = files::read_file(path, 1 << 24);
    bytes[at] = char(bytes[at] ^ 1);
    overwrite(path, bytes);
}

}  // namespace

// config.json says that the head is the embedding, the weights have another: it is used, as by transformers 5.
TEST(model_files, a_head_of_its_own_in_a_tied_model) {
    for (const Config& c : {toy_gpt2(), toy_llama()}) {
        const Temporary dir;
        ToyModel model(with(c, [](Config& c) { c.tied = false; }));
        save(dir.path, model);
        forget_our_config(dir.path);
        change(dir / "config.json", "tie_word_embeddings", true);
        const ModelDescription found = read_model_description(dir.path);
        EXPECT_FALSE(found.config.tied);
        ASSERT_EQ(found.warnings.size(), 1u);
        EXPECT_NE(found.warnings[0].find("lm_head.weight"), std::string::npos) << found.warnings[0];
        EXPECT_EQ(load(dir.path).logits(), model.logits());
    }
}

TEST(model_files, a_head_that_repeats_the_embedding) {
    for (const Config& c : {toy_gpt2(), with(toy_llama(), [](Config& c) { c.tied = true; })}) {
        const Temporary dir;
        ToyModel model(c);
        save(dir.path, model);
        std::vector<Named> tensors = read_tensors(dir / "model.safetensors");
        for (const Named& t : std::vector(tensors))
            if (t.name.ends_with("wte.weight") || t.name.ends_with("embed_tokens.weight"))
                tensors.push_back({"lm_head.weight", t.shape, t.values});
        write_tensors(dir / "model.safetensors", tensors);
        const ModelDescription found = read_model_description(dir.path);
        EXPECT_TRUE(found.config.tied && found.warnings.empty());
        EXPECT_EQ(load(dir.path).logits(), model.logits());
    }
}

TEST(model_files, weights_that_are_no_numbers_are_named) {
    for (const float bad : {NAN, INFINITY, -INFINITY}) {
        const Temporary dir;
        save(dir.path, ToyModel(toy_llama()));
        std::vector<Named> tensors = read_tensors(dir / "model.safetensors");
        for (Named& t : tensors) {
            const float before = std::exchange(t.values.back(), bad);
            write_tensors(dir / "model.safetensors", tensors);
            expect_error(Exit::input, {"model.safetensors", "tensor " + t.name, std::to_string(t.values.size() - 1)},
                         [&] { load(dir.path); });
            t.values.back() = before;
        }
    }
}

// The manifest knows what was saved, also where the model alone is read.
TEST(model_files, a_bit_that_flipped_in_a_checkpoint) {
    const Temporary run;
    const std::string path = save_checkpoint(run.path, contents_of(ToyModel(toy_llama())));
    load(path);
    for (const std::string name : {"model.safetensors", "config.json", "tokenizer.json"}) {
        const std::string file = path + "/" + name, whole = files::read_file(file, 1 << 24);
        for (const uint64_t at : {uint64_t(whole.size() / 3), uint64_t(whole.size() - 1)}) {
            flip_bit(file, at);
            expect_error(Exit::input, {file, "does not match manifest.json", "delete manifest.json if you changed"},
                         [&] { load(path); });
            overwrite(file, whole);
        }
    }
    flip_bit(path + "/model.safetensors", files::Reader(path + "/model.safetensors").size() - 1);
    std::filesystem::remove(path + "/manifest.json");  // somebody changed it and says so
    load(path);
}

// A run that goes on moves its links: what is read belongs together.
TEST(model_files, links_of_a_run_are_followed_at_once) {
    const Temporary run;
    save_checkpoint(run.path, contents_of(ToyModel(toy_llama())));
    EXPECT_EQ(model_directory(run.path), run / "step_00000001");
    EXPECT_EQ(model_directory(run / "latest"), run / "step_00000001");
    std::filesystem::create_directory_symlink(run / "step_00000001", run / "mine");
    EXPECT_EQ(model_directory(run / "mine"), run / "mine");
}

TEST(model_files, generation_config_may_name_more_ends) {
    const Temporary dir;
    save(dir.path, ToyModel(toy_llama()));
    change(dir / "config.json", "eos_token_id", 3);
    EXPECT_EQ(read_model_description(dir.path).ends, (std::vector<int>{3}));
    write_json(dir / "generation_config.json", {{"eos_token_id", {4, 3, 7}}, {"top_p", 0.9}});
    EXPECT_EQ(read_model_description(dir.path).ends, (std::vector<int>{4, 3, 7}));
    EXPECT_EQ(read_model_description(dir.path).special.eos, (std::vector<int>{3}));
    write_json(dir / "generation_config.json", {{"eos_token_id", 5}});
    EXPECT_EQ(read_model_description(dir.path).ends, (std::vector<int>{5}));
    write_json(dir / "generation_config.json", {{"top_p", 0.9}});
    EXPECT_EQ(read_model_description(dir.path).ends, (std::vector<int>{3}));
    write_json(dir / "generation_config.json", {{"eos_token_id", {4, "x"}}});
    expect_error(Exit::input, {"generation_config.json", "\"x\""}, [&] { read_model_description(dir.path); });
}

TEST(model_files, what_else_lies_there) {
    const Temporary dir;
    for (const char* name : {"config.json", "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
                             "optimizer.safetensors", "manifest.json", "state.json", "tokenizer.json", ".gitattributes",
                             "LICENSE", "chat_template.jinja", "generation_config.json", "special_tokens_map.json",
                             "modeling.py", "tokenizer_config.json"})
        overwrite(dir / name, name);
    std::filesystem::create_directory(dir / "onnx");
    const auto names = [&](Companions which) {
        std::vector<std::string> all;
        for (const auto& [name, text] : companion_files(dir.path, which)) {
            all.push_back(name);
            EXPECT_EQ(text, name);
        }
        return all;
    };
    EXPECT_EQ(names(Companions::all),
              (std::vector<std::string>{"LICENSE", "chat_template.jinja", "generation_config.json", "modeling.py",
                                        "special_tokens_map.json", "tokenizer_config.json"}));
    EXPECT_EQ(names(Companions::tokenizer),
              (std::vector<std::string>{"chat_template.jinja", "special_tokens_map.json", "tokenizer_config.json"}));
    EXPECT_EQ(names(Companions::no_tokenizer),
              (std::vector<std::string>{"LICENSE", "generation_config.json", "modeling.py"}));
}
