// The tokenizer in a model's directory, whatever its format: used, kept, or refused, and never another in its place.
#include <map>
#include "dev/test/support/text_search.h"
#include "dev/test/tokenizer/bpe_case.h"
#include "host/data/load_data.h"
#include "host/evaluate/eval_documents.h"
#include "host/evaluate/multiple_choice.h"
#include "host/generate/prompts.h"
#include "host/tokenizer/load_tokenizer.h"
#include "run_case.h"

namespace {

using nlohmann::json;

struct Kind {
    const char* name;
    std::map<std::string, std::string> files;
    std::vector<std::string> flags;
};

std::string merges_of(const json& model) {
    std::string lines = "#version: 0.2\n";
    for (const json& merge : model["merges"])
        lines += merge[0].get<std::string>() + " " + merge[1].get<std::string>() + "\n";
    return lines;
}

std::vector<Kind> kinds() {
    const json& goldens = tokenizing_goldens();
    json llama = goldens["marked"]["cases"][0]["file"];
    llama["model"] = goldens["marked"]["models"][0];
    const json gpt2 = golden_case("gpt2")["file"]["model"];
    return {{"Llama 2", {{"tokenizer.json", llama.dump()}}, {}},
            {"SmolLM", {{"tokenizer.json", golden_case("digits")["file"].dump()}}, {}},
            {"OpenAI", {{"encoder.json", gpt2["vocab"].dump()}, {"vocab.bpe", merges_of(gpt2)}}, {}},
            {"ranks", {{"tokenizer.model", goldens["tiktoken"]["file"]}}, {"--pattern", "cl100k"}}};
}

// A model trained with such a tokenizer, in a directory as another program would leave it.
struct Trained {
    Temporary at;
    fs::path text = write_text(at), model = at.path / "model", tokenizer = at.path / "tokenizer";
    std::vector<std::string> flags;
    explicit Trained(const Kind& kind) : flags(kind.flags) {
        fs::create_directory(tokenizer);
        for (const auto& [name, content] : kind.files) overwrite(tokenizer / name, content);
        std::vector<std::string> changes = flags;
        changes.insert(changes.end(), {"--tokenizer", tokenizer.string()});
        const Outcome o = run(small(at.path / "first", text, changes));
        EXPECT_EQ(o.code, Exit::done) << o.error;
        fs::create_directory(model);
        for (const char* name : {"config.json", "model.safetensors"})
            fs::copy(at.path / "first" / "latest" / name, model / name);
        for (const auto& [name, content] : kind.files) overwrite(model / name, content);
    }
    Outcome with(std::vector<std::string> args) const {
        args.insert(args.end(), flags.begin(), flags.end());
        return run(args);
    }
    Outcome fine_tune(const std::string& name, const std::vector<std::string>& more = {}) const {
        std::vector<std::string> args{"--model", model.string(), "--data", text.string(), "--out", at / name, "--batch",
                                      "2",       "--steps",      "2",      "--context",   "16"};
        args.insert(args.end(), more.begin(), more.end());
        return with(args);
    }
    std::optional<SplitRule> pattern() const { return flags.empty() ? std::nullopt : from_name<SplitRule>(flags[1]); }
};

TEST(model_tokenizers, are_used_and_kept) {
    for (const Kind& kind : kinds()) {
        SCOPED_TRACE(kind.name);
        const Trained t(kind);
        const Outcome o = t.fine_tune("second");
        ASSERT_EQ(o.code, Exit::done) << o.error;
        const fs::path saved = t.at.path / "second" / "latest";
        for (const auto& [name, content] : kind.files)
            EXPECT_EQ(files::read_file(saved / name, 1 << 20), content) << name;
        EXPECT_EQ(load_tokenizer(saved).hash(), load_tokenizer(t.tokenizer, t.pattern()).hash());
        const Outcome sampled = t.with({"sample", "--model", t.model.string(), "--prompt", "the cat", "--tokens", "5"});
        EXPECT_EQ(sampled.code, Exit::done) << sampled.error;
        EXPECT_TRUE(sampled.out.starts_with("the cat")) << sampled.out;
        const Outcome scored = t.with({"eval", "--model", t.model.string(), "--data", t.text.string(), "--json"});
        ASSERT_EQ(scored.code, Exit::done) << scored.error;
        const Outcome again =
            run({"eval", "--model", (t.at.path / "first").string(), "--data", t.text.string(), "--json"});
        EXPECT_EQ(Json::parse(scored.out)["loss_hex"], Json::parse(again.out)["loss_hex"]);
    }
}

// A text from nothing does not begin with the space before its first word; one that goes on does.
TEST(model_tokenizers, spaces_before_words) {
    const Trained t(kinds()[0]);
    const Outcome o = run({"tokenize", "--tokenizer", t.model.string(), "--text", "the cat"});
    const Tokenizer tokenizer = load_tokenizer(t.model);
    EXPECT_EQ(Json::parse(o.out).get<std::vector<int>>(), tokenizer.encode("the cat"));
    EXPECT_EQ(run({"tokenize", "--tokenizer", t.model.string(), "--ids", o.out}).out, "the cat\n");
    const std::vector<int> word = tokenizer.encode("the");
    Captured out;
    TextPrinter printer(tokenizer, {"", "the cat"});
    for (const size_t text : {0, 1}) {
        for (const int id : word) printer.add(text, id);
        printer.end(text);
    }
    EXPECT_EQ(out.take(), "the\n---\nthe cat the\n");
}

// What is read a part at a time gets the space before it once.
TEST(model_tokenizers, long_texts) {
    const Temporary at;
    const json& goldens = tokenizing_goldens();
    json llama = goldens["marked"]["cases"][0]["file"];
    llama["model"] = goldens["marked"]["models"][0];
    overwrite(at / "tokenizer.json", llama.dump());
    const Tokenizer tokenizer = load_tokenizer(at / "tokenizer.json");
    std::string text;
    while (text.size() < 17 << 20) text += "the king's men didn't say they'd come\n";
    overwrite(at / "text.txt", text);
    const std::vector<int> expected = tokenizer.encode(text);
    const Outcome o = run({"tokenize", "--tokenizer", at / "tokenizer.json", "--data", at / "text.txt", "--out",
                           at / "shards", "--separator", "none"});
    ASSERT_EQ(o.code, Exit::done) << o.error;
    EXPECT_TRUE(has(o.out, "done: " + std::to_string(expected.size()) + " tokens")) << o.out;
    DataOptions how;
    how.data = {at / "text.txt"};
    how.val_fraction = 0;
    how.tokenizer = tokenizer;
    EXPECT_EQ(load_data(how).train.source->size(), expected.size());
    uint64_t scored = 0;
    EvalText what;
    what.paths = {at / "text.txt"};
    what.tokenizer = &tokenizer;
    what.vocab = tokenizer.vocab_size();
    what.context = what.stride = 64;
    const TextFacts facts = read_documents(what, [&](const std::vector<Segment>& segments, double) {
        for (const Segment& segment : segments) scored += segment.targets();
        return true;
    });
    EXPECT_EQ(scored + 1, expected.size());  // the first is not predicted
    EXPECT_EQ(facts.bytes, text.size() - (tokenizer.tokens[size_t(expected[0])].size() - 1));
}

// The mark before a document is no byte of its text, in shards as in the text; an ending goes on, so it has one mark.
TEST(model_tokenizers, evaluation_of_characters) {
    const Trained t(kinds()[0]);
    const std::string lines = t.at / "lines.jsonl", shards = t.at / "shards";
    overwrite(lines, "{\"text\": \"the cat\"}\n{\"text\": \"the king said\"}\n");
    const Outcome made =
        run({"tokenize", "--tokenizer", t.model.string(), "--data", lines, "--out", shards, "--separator", "<s>"});
    ASSERT_EQ(made.code, Exit::done) << made.error;
    const auto bytes_of = [&](const std::string& data) {
        const Outcome o = run(
            {"eval", "--model", t.model.string(), "--data", data, "--separator", "<s>", "--context", "16", "--json"});
        EXPECT_EQ(o.code, Exit::done) << o.error;
        return Json::parse(o.out)["bytes"].get<size_t>();
    };
    const size_t bytes = std::string("the cat").size() + std::string("the king said").size();
    EXPECT_EQ(bytes_of(lines), bytes);
    EXPECT_EQ(bytes_of(shards + "/*.bin"), bytes);

    const std::string questions = t.at / "questions.jsonl";
    overwrite(questions, "{\"ctx\": \"the\", \"endings\": [\"cat\", \"king\"], \"label\": 0}\n");
    const Tokenizer tokenizer = load_tokenizer(t.model);
    const Question q = read_questions(questions, &tokenizer, {}, tokenizer.vocab_size()).at(0);
    std::vector<int> whole = q.choices[0].context;
    whole.insert(whole.end(), q.choices[0].ending.begin(), q.choices[0].ending.end());
    EXPECT_EQ(whole, tokenizer.encode("the cat"));
}

TEST(model_tokenizers, that_cannot_be_read_are_refused) {
    const Trained t(kinds()[2]);
    for (const char* name : {"encoder.json", "vocab.bpe"}) fs::remove(t.model / name);
    overwrite(t.model / "tokenizer.model", "\n\x0e\n\x05<unk>\x15");
    for (const std::vector<std::string>& args :
         {std::vector<std::string>{"sample", "--model", t.model.string(), "--tokens", "3"},
          {"eval", "--model", t.model.string(), "--data", t.text.string()},
          {"--model", t.model.string(), "--data", t.text.string(), "--out", t.at / "second", "--context", "16"}}) {
        const Outcome o = run(args);
        EXPECT_EQ(o.code, Exit::input) << args[0] << o.error;
        EXPECT_TRUE(has(o.error, "SentencePiece") && has(o.error, "save_pretrained")) << args[0] << ": " << o.error;
    }
    EXPECT_FALSE(fs::exists(t.at / "second"));
}

TEST(model_tokenizers, a_model_without_one_learns_none_unasked) {
    const Trained t(kinds()[2]);
    for (const char* name : {"encoder.json", "vocab.bpe"}) fs::remove(t.model / name);
    const Outcome o = t.fine_tune("second");
    EXPECT_EQ(o.code, Exit::usage);
    EXPECT_TRUE(has(o.error, "the model has no tokenizer") && has(o.error, "--tokenizer")) << o.error;
    const Outcome asked = t.fine_tune("third", {"--tokenizer", "char"});
    EXPECT_EQ(asked.code, Exit::done) << asked.error;
    const Outcome named = t.fine_tune("fourth", {"--tokenizer", t.tokenizer.string()});
    EXPECT_EQ(named.code, Exit::done) << named.error;
}

}  // namespace
