// Training that begins with a model's weights: what it says of the model, and what stays of its directory.
#include <fmt/core.h>
#include <cmath>
#include <map>
#include "dev/test/support/expect_error.h"
#include "dev/test/support/text_search.h"
#include "host/base/json.h"
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
        ::Run trained(parse(small(f.at.path / (last ? "last" : "before"), f.text)));
        trained.begin();
        trained.state.step = 4;
        EXPECT_FALSE(trained.report_validation(NAN, 1));
        trained.state.step = 8;
        trained.report_validation(last ? NAN : 1.5, 1);
        if (last) expect_error(Exit::numeric, {"validation loss is not finite"}, [&] { trained.finish(false); });
        else EXPECT_NO_THROW(trained.finish(false));
    }
}

}  // namespace
