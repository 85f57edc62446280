// Training that begins with a model's weights: what it says of the model, and what stays of its directory.
#include <fmt/core.h>
#include <cmath>
#include <map>
#include "dev/test/support/expect_error.h"
#include "dev/test/support/text_search.h"
#include "host/base/json.h"
#include "host/checkpoint/config_json.h"
#include "host/checkpoint/model_files.h"
#include "host/run/run.h"
#include "run_case.h"

namespace {

// A model of another program's: no manifest, and files that are none of ours.
struct Foreign {
    Temporary at;
    fs::path text = write_text(at), model = at.path / "model";
    std::map<std::string, std::string> files{
        {"chat_template.jinja", "{{ messages }}"},
        {"LICENSE", "do what you want\n"},
        {"generation_config.json", "{\"eos_token_id\": [10, 46, 33],\n \"top_p\": 0.9}"}};
    Foreign() {
        const Outcome o = run(small(at.path / "first", text));
        EXPECT_EQ(o.code, Exit::done) << o.error;
        fs::copy(model_of("first"), model, fs::copy_options::recursive);
        for (const char* ours : {"manifest.json", "state.json", "optimizer.safetensors", "generation_config.json"})
            fs::remove(model / ours);
        for (const auto& [name, text] : files) overwrite(model / name, text);
    }
    fs::path model_of(const std::string& name) const { return fs::canonical(at.path / name / "latest"); }
    Outcome fine_tune(const std::string& name, const std::vector<std::string>& more = {}) const {
        std::vector<std::string> args{
            "--model", model.string(), "--data", text.string(), "--out", (at.path / name).string(), "--batch",
            "2",       "--context",    "16",     "--steps",     "2",     "--sample-tokens",         "0"};
        args.insert(args.end(), more.begin(), more.end());
        return run(args);
    }
};

TEST(fine_tuning, keeps_what_is_not_ours) {
    const Foreign f;
    const auto expect_kept = [&](const std::string& name) {
        for (const auto& [file, text] : f.files)
            EXPECT_EQ(files::read_file((f.model_of(name) / file).string(), 1 << 20), text) << name << " " << file;
    };
    const Outcome o = f.fine_tune("second");
    ASSERT_EQ(o.code, Exit::done) << o.error;
    expect_kept("second");
    const Outcome again = run({"--resume", (f.at.path / "second").string(), "--steps", "3"});
    ASSERT_EQ(again.code, Exit::done) << again.error;
    EXPECT_TRUE(f.model_of("second").string().ends_with("step_00000003"));
    expect_kept("second");
    // With another tokenizer its chat template is not this model's.
    const Outcome other = f.fine_tune("third", {"--tokenizer", (f.model / "tokenizer.json").string()});
    ASSERT_EQ(other.code, Exit::done) << other.error;
    EXPECT_TRUE(fs::exists(f.model_of("third") / "LICENSE"));
    EXPECT_FALSE(fs::exists(f.model_of("third") / "chat_template.jinja"));
}

TEST(fine_tuning, a_damaged_model_is_used_by_nobody) {
    const Foreign f;
    const fs::path weights = f.model_of("first") / "model.safetensors";
    std::string bytes = files::read_file(weights.string(), 1 << 24);
    bytes[bytes.size() - 3] = char(bytes[bytes.size() - 3] ^ 1);
    overwrite(weights.string(), bytes);
    const std::string first = (f.at.path / "first").string();
    for (const std::vector<std::string>& args :
         {std::vector<std::string>{"sample", "--model", first, "--tokens", "3"},
          {"eval", "--model", first, "--data", f.text.string()},
          {"--model", first, "--data", f.text.string(), "--out", f.at / "second", "--batch", "2", "--steps", "1"},
          {"report", first, "--out", f.at / "report.html"}}) {
        const Outcome o = run(args);
        EXPECT_EQ(o.code, Exit::input) << args[0] << o.error;
        EXPECT_TRUE(has(o.error, "model.safetensors: is not the file that was saved")) << args[0] << ": " << o.error;
    }
}

TEST(fine_tuning, a_head_that_is_not_the_embedding) {
    const Foreign f;
    const ModelDescription tied = read_model_description(f.model.string());
    ASSERT_TRUE(tied.config.tied);
    const Outcome untied = run(small(f.at.path / "untied", f.text, {"--tied=false"}));
    ASSERT_EQ(untied.code, Exit::done) << untied.error;
    const fs::path other = f.at.path / "other";
    fs::create_directory(other);
    for (const char* name : {"model.safetensors", "tokenizer.json"})
        fs::copy(f.model_of("untied") / name, other / name);
    Json config = read_json((f.model_of("untied") / "config.json").string());
    const auto loss = [&](const fs::path& model) {
        const Outcome o = run({"eval", "--model", model.string(), "--data", f.text.string(), "--json"});
        EXPECT_EQ(o.code, Exit::done) << o.error;
        return std::pair(Json::parse(o.out)["loss_hex"], o.error);
    };
    config.erase("gpt_cu");
    config["tie_word_embeddings"] = true;
    overwrite((other / "config.json").string(), config.dump());
    EXPECT_EQ(loss(other).first, loss(f.model_of("untied")).first);
    EXPECT_TRUE(has(loss(other).second, "warning: ") && has(loss(other).second, "another lm_head.weight"));
}

// Whatever broke it: the run ends with the exit code for numbers, after it has saved.
TEST(fine_tuning, a_validation_that_is_no_number) {
    const Foreign f;
    for (const bool last : {true, false}) {
        const Captured out, error(Captured::Stream::error);
        ::Run trained(parse(small(f.at.path / (last ? "last" : "before"), f.text)), World(), {});
        trained.begin();
        trained.state.step = 4;
        EXPECT_FALSE(trained.report_validation(NAN, 1));
        trained.state.step = 8;
        trained.report_validation(last ? NAN : 1.5, 1);
        if (last) expect_error(Exit::numeric, {"validation loss is not finite"}, [&] { trained.finish(false); });
        else EXPECT_NO_THROW(trained.finish(false));
    }
}

// With a window GPT-2 is a model of our own, whose tensors have other names.
TEST(fine_tuning, a_window_comes_and_goes) {
    const Foreign f;
    const Outcome made = run(small(f.at.path / "near", f.text, {"--window", "4"}));
    ASSERT_EQ(made.code, Exit::done) << made.error;
    std::string model = f.model_of("near").string();
    for (const auto& [window, change] : {std::pair("0", "window 4 -> 0"), {"3", "window 0 -> 3"}}) {
        const std::string name = std::string("window") + window;
        const Outcome o = run({"--model", model, "--data", f.text.string(), "--out", (f.at.path / name).string(),
                               "--batch", "1", "--steps", "1", "--sample-tokens", "0", "--window", window});
        ASSERT_EQ(o.code, Exit::done) << o.error;
        EXPECT_TRUE(has(o.out, change)) << o.out;
        model = f.model_of(name).string();
        EXPECT_EQ(read_model_description(model).config.window, std::atoi(window));
    }
}

// RoPE turns on beyond the context the model was made for; learned positions end.
TEST(fine_tuning, a_longer_context) {
    const Foreign f;
    const Outcome made =
        run(small(f.at.path / "rope", f.text, {"--norm", "rmsnorm", "--position", "rope", "--activation", "swiglu"}));
    ASSERT_EQ(made.code, Exit::done) << made.error;
    const std::string rope = f.model_of("rope").string();
    const auto tune = [&](const std::string& name, const std::vector<std::string>& more) {
        std::vector<std::string> args{
            "--model", rope,      "--data", f.text.string(),   "--out", (f.at.path / name).string(), "--batch",
            "1",       "--steps", "1",      "--sample-tokens", "0"};
        args.insert(args.end(), more.begin(), more.end());
        return run(args);
    };
    const Outcome longer =
        tune("longer", {"--context", "40", "--rope-theta", "50000", "--rope-factor", "4", "--val-fraction", "0.4"});
    ASSERT_EQ(longer.code, Exit::done) << longer.error;
    EXPECT_TRUE(has(longer.out, "change  context 16 -> 40, RoPE's theta 10000 -> 50000, RoPE's factor 1 -> 4"))
        << longer.out;
    const Config c = read_model_description(f.model_of("longer").string()).config;
    EXPECT_TRUE(c.T == 40 && c.rope_theta == 50000 && c.rope_scaling.factor == 4 &&
                c.rope_scaling.original_context == 16);
    const Outcome again = run({"--resume", (f.at.path / "longer").string(), "--steps", "2"});
    ASSERT_EQ(again.code, Exit::done) << again.error;
    EXPECT_EQ(to_json(read_model_description(f.model_of("longer").string()).config), to_json(c));
    const Outcome same = tune("same", {"--context", "8"});
    EXPECT_EQ(same.code, Exit::done) << same.error;
    EXPECT_FALSE(has(same.out, "change ")) << same.out;
    EXPECT_EQ(read_model_description(f.model_of("same").string()).config.T, 16);
    for (const auto& args : {std::vector<std::string>{"sample", "--model", rope, "--tokens", "30", "--context", "24"},
                             {"eval", "--model", rope, "--data", f.text.string(), "--context", "24"}}) {
        const Outcome o = run(args);
        EXPECT_EQ(o.code, Exit::done) << o.error;
        EXPECT_TRUE(has(o.error, "warning: --context: context 16 -> 24: the model was not made for it")) << o.error;
    }
    for (std::vector<std::string> args : {std::vector<std::string>{"sample", "--tokens", "30"},
                                          {"eval", "--data", f.text.string()},
                                          {"--data", f.text.string(), "--out", f.at / "no"}}) {
        args.insert(args.end(), {"--model", f.model.string(), "--context", "24"});
        const Outcome o = run(args);
        EXPECT_EQ(o.code, Exit::usage) << o.error;
        EXPECT_TRUE(has(o.error, "--context: 24 is beyond the model's 16, where its learned positions end")) << o.error;
    }
    const Outcome learned = f.fine_tune("no", {"--rope-theta", "5e4"});
    EXPECT_EQ(learned.code, Exit::usage);
    EXPECT_TRUE(has(learned.error, "--rope-theta: the positions are learned; leave it out")) << learned.error;
    const Outcome shape = f.fine_tune("no", {"--layers", "3"});
    EXPECT_TRUE(has(shape.error, "leave out --layers, or add --from-scratch")) << shape.error;
    EXPECT_FALSE(fs::exists(f.at.path / "no"));
}

// --from-scratch leaves a directory's weights, and takes its tokenizer with the vocabulary and what belongs to them.
TEST(fine_tuning, from_scratch_keeps_the_tokenizer) {
    const Foreign f;
    Json config = read_json((f.model / "config.json").string());
    config.erase("gpt_cu");
    config["vocab_size"] = 300, config["bos_token_id"] = 10, config["eos_token_id"] = 11;  // padded
    overwrite((f.model / "config.json").string(), config.dump());
    fs::remove(f.model / "model.safetensors");
    const Outcome o = f.fine_tune("own", {"--from-scratch"});
    ASSERT_EQ(o.code, Exit::done) << o.error;
    const ModelDescription own = read_model_description(f.model_of("own").string());
    EXPECT_EQ(own.config.V, 300);
    EXPECT_EQ(own.special.bos, 10);
    EXPECT_EQ(own.special.eos, std::vector<int>{11});
    EXPECT_EQ(files::read_file((f.model_of("own") / "tokenizer.json").string(), 1 << 20),
              files::read_file((f.model / "tokenizer.json").string(), 1 << 20));
    EXPECT_TRUE(fs::exists(f.model_of("own") / "chat_template.jinja"));
    EXPECT_FALSE(fs::exists(f.model_of("own") / "LICENSE"));
    const Outcome other = f.fine_tune("other", {"--from-scratch", "--tokenizer", "char"});
    ASSERT_EQ(other.code, Exit::done) << other.error;
    const ModelDescription characters = read_model_description(f.model_of("other").string());
    EXPECT_LT(characters.config.V, 100);
    EXPECT_EQ(characters.special.bos, -1);
    EXPECT_FALSE(fs::exists(f.model_of("other") / "chat_template.jinja"));
}

// What only training cannot do does not keep anybody from using a model.
TEST(fine_tuning, rates_of_dropout_that_training_does_not_have) {
    const Foreign f;
    Json config = read_json((f.model / "config.json").string());
    config["attn_pdrop"] = 0.5, config["eos_token_id"] = 50256;
    overwrite((f.model / "config.json").string(), config.dump());
    const std::string model = f.model.string();
    for (const std::vector<std::string>& args :
         {std::vector<std::string>{"sample", "--model", model, "--tokens", "3", "--prompt", "the"},
          {"sample", "--model", model, "--tokens", "3", "--prompt", "the", "--tokenizer", "byte"},
          {"eval", "--model", model, "--data", f.text.string()},
          {"plan", "--model", model}}) {
        const Outcome o = run(args);
        EXPECT_EQ(o.code, Exit::done) << args[0] << o.error;
        EXPECT_TRUE(has(o.error, "eos_token_id 50256: beyond the vocabulary of 256, ignored")) << args[0] << o.error;
    }
    const Outcome refused = f.fine_tune("tuned");
    EXPECT_EQ(refused.code, Exit::input);
    EXPECT_TRUE(has(refused.error, "config.json: attn_pdrop 0.5 is not the dropout of the other places, 0.0") &&
                has(refused.error, "--dropout 0"))
        << refused.error;
    const Outcome given = f.fine_tune("tuned", {"--dropout", "0"});
    EXPECT_EQ(given.code, Exit::done) << given.error;
}

}  // namespace
