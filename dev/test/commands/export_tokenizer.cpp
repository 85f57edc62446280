// Tokenizers in GGUF files, and what `train_gpt export` says to who got it wrong.
#include <fmt/core.h>
#include <algorithm>
#include "dev/test/checkpoint/huggingface_case.h"
#include "dev/test/support/full_disk.h"
#include "dev/test/support/gguf_file.h"
#include "dev/test/support/text_search.h"
#include "expect_refusal.h"
#include "host/checkpoint/checkpoint.h"
#include "host/tokenizer/bpe.h"
#include "host/tokenizer/load_tokenizer.h"
#include "host/tokenizer/tokenizer_json.h"
#include "run_case.h"

namespace {

struct Exported {
    Temporary at;
    std::string model = at / "model", file = at / "out.gguf";

    // A model of so many tokens with this tokenizer.
    Exported(const Tokenizer& tokenizer, int V, const SpecialTokens& special = {}, const std::string& config = "") {
        files::make_directories(model);
        const ToyModel toy(with(toy_gpt2(), [&](Config& c) { c.V = V; }));
        save(model, toy);
        write_json(model + "/config.json", to_json(ModelDescription{toy.gpt.c, special}));
        overwrite(model + "/tokenizer.json", tokenizer_json(tokenizer));
        if (!config.empty()) overwrite(model + "/tokenizer_config.json", config);
    }
    Outcome write(const std::vector<std::string>& more = {}) const {
        std::vector<std::string> args{"export", "--model", model, "--gguf", file};
        args.insert(args.end(), more.begin(), more.end());
        return run(args);
    }
    GgufFile read(const std::vector<std::string>& more = {}) const {
        const Outcome o = write(more);
        EXPECT_EQ(o.code, Exit::done) << o.error;
        EXPECT_TRUE(has(o.out, "wrote " + file)) << o.out;
        return GgufFile(file);
    }
    void expect_refused(Exit code, const std::vector<std::string>& parts,
                        const std::vector<std::string>& more = {}) const {
        const bool there = files::exists(file);
        const std::string before = there ? files::read_file(file, 1 << 20) : "";
        const Outcome o = write(more);
        EXPECT_EQ(int(o.code), int(code)) << o.error;
        EXPECT_FALSE(has(o.error, "\n")) << o.error;
        for (const std::string& part : parts) EXPECT_TRUE(has(o.error, part)) << o.error << "\nlacks " << part;
        EXPECT_EQ(files::list(at.path),
                  there ? std::vector<std::string>({"model", "out.gguf"}) : std::vector<std::string>{"model"});
        if (there) { EXPECT_EQ(files::read_file(file, 1 << 20), before); }
    }
};

Tokenizer characters(const std::string& text) { return train_tokenizer(TokenizerKind::character, text); }

std::vector<double> types(const GgufFile& file) { return file.array("tokenizer.ggml.token_type").numbers; }
int place(const GgufFile& file, const std::string& token) {
    const auto& all = file.array("tokenizer.ggml.tokens").texts;
    return int(std::find(all.begin(), all.end(), token) - all.begin());
}

// Llama 2's, but for its vocabulary and merges.
constexpr const char* llama2 = R"({"version": "1.0", "truncation": null, "padding": null,
  "added_tokens": [{"id": 0, "content": "<unk>", "special": true}, {"id": 1, "content": "<s>", "special": true},
    {"id": 2, "content": "</s>", "special": true}],
  "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"},
    {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
  "pre_tokenizer": null,
  "post_processor": {"type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
    "pair": [], "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
  "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
    {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
  "model": {"type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null,
    "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true, "vocab": VOCAB, "merges": MERGES}})";

// Three specials, 256 bytes, then these; merges as lists of two.
Tokenizer sentencepiece(const std::vector<std::string>& tokens, const std::string& merges) {
    Json vocab = {{"<unk>", 0}, {"<s>", 1}, {"</s>", 2}};
    for (int b = 0; b < 256; b++) vocab[byte_name(b)] = 3 + b;
    for (const std::string& token : tokens) vocab[token] = int(vocab.size());
    std::string text = llama2;
    text.replace(text.find("VOCAB"), 5, vocab.dump());
    text.replace(text.find("MERGES"), 6, merges);
    return tokenizer_from_json(text, "tokenizer.json");
}
const std::vector<std::string> abc = {"▁", "a", "b", "c", "ab", "▁ab", "abc"};
const std::string abc_merges = R"([["a","b"],["▁","ab"],["ab","c"]])";

}  // namespace

// Bytes become characters by merges, which begin with a character's first byte.
TEST(export_tokenizer, characters_of_any_length) {
    const Tokenizer tokenizer = characters("ab\ncé中丰");
    const GgufFile file = Exported(tokenizer, tokenizer.vocab_size()).read();
    const auto& tokens = file.array("tokenizer.ggml.tokens").texts;
    ASSERT_EQ(int(tokens.size()), tokenizer.vocab_size());
    for (size_t id = 0; id < tokens.size(); id++) EXPECT_EQ(bytes_of_symbols(tokens[id]), tokenizer.tokens[id]);
    std::vector<std::string> merges;
    for (const std::string& merge : file.array("tokenizer.ggml.merges").texts) {
        const size_t space = merge.find(' ');
        merges.push_back(bytes_of_symbols(merge.substr(0, space)) + "|" + bytes_of_symbols(merge.substr(space + 1)));
    }
    EXPECT_EQ(merges, (std::vector<std::string>{"\xC3|\xA9", "\xE4|\xB8", "\xE4\xB8|\xAD", "\xE4\xB8|\xB0", "\xEF|\xBF",
                                                "\xEF\xBF|\xBD"}));
    EXPECT_EQ(file.text("tokenizer.ggml.model"), "gpt2");
    EXPECT_EQ(types(file), std::vector<double>(tokens.size(), 1));
    // llama.cpp would end texts at token 11 if none were named.
    for (const char* name : {"bos", "eos", "unknown"})
        EXPECT_EQ(file.number(fmt::format("tokenizer.ggml.{}_token_id", name)), tokenizer.unknown) << name;
    EXPECT_FALSE(file.keys.contains("tokenizer.ggml.padding_token_id"));
    EXPECT_FALSE(file.flag("tokenizer.ggml.add_bos_token"));
    EXPECT_FALSE(file.flag("tokenizer.ggml.add_eos_token"));
}

// A text begins with the model's first token where the tokenizer's files say nothing, as in `sample`.
TEST(export_tokenizer, the_first_token_stands_before_a_text) {
    const Tokenizer tokenizer = characters("ab\n");
    const GgufFile file = Exported(tokenizer, 4, {.bos = 0, .eos = {0}}).read();
    EXPECT_TRUE(file.flag("tokenizer.ggml.add_bos_token"));
    EXPECT_EQ(file.number("tokenizer.ggml.bos_token_id"), 0);
    EXPECT_EQ(file.number("tokenizer.ggml.eos_token_id"), 0);
    EXPECT_EQ(file.number("tokenizer.ggml.unknown_token_id"), tokenizer.unknown);
}

TEST(export_tokenizer, bytes) {
    const GgufFile file = Exported(byte_tokenizer(), 300).read();
    const auto& tokens = file.array("tokenizer.ggml.tokens").texts;
    ASSERT_EQ(tokens.size(), 300u);  // as many as the model has
    EXPECT_EQ(tokens[' '], "Ġ");
    EXPECT_EQ(tokens[256], "[PAD256]");
    EXPECT_EQ(types(file)[255], 1);
    EXPECT_EQ(types(file)[256], 5);
    EXPECT_TRUE(file.array("tokenizer.ggml.merges").texts.empty());
    EXPECT_EQ(file.number("tokenizer.ggml.eos_token_id"), 255);  // a byte that no text holds
}

TEST(export_tokenizer, bpe_with_what_stands_around_it) {
    const Temporary at;
    overwrite(at / "text.txt", "low lower lowest newest newer the cat sat on the mat low low");
    const std::string trained = at / "bpe";
    ASSERT_EQ(run({"tokenize", "--train-bpe", "280", "--data", at / "text.txt", "--out", trained, "--special-tokens",
                   "<|endoftext|>", "<|pad|>"})
                  .code,
              Exit::done);
    const Tokenizer tokenizer = load_tokenizer(trained);
    const Json config = {{"bos_token", "<|endoftext|>"}, {"add_bos_token", true}, {"chat_template", "{{ messages }}"}};
    const Exported exported(tokenizer, 290, {.bos = 0, .pad = 1, .eos = {0, 5}}, config.dump());
    const GgufFile file = exported.read();
    EXPECT_EQ(file.text("tokenizer.ggml.pre"), "gpt-2");
    EXPECT_EQ(types(file)[0], 3);
    EXPECT_EQ(types(file)[1], 3);
    EXPECT_EQ(types(file)[2], 1);
    const auto& names = tokenizer.bpe->names;
    std::vector<std::string> merges;
    for (const MergeRule& rule : tokenizer.bpe->merges)
        merges.push_back(names[size_t(rule.left)] + " " + names[size_t(rule.right)]);
    EXPECT_EQ(file.array("tokenizer.ggml.merges").texts, merges);
    EXPECT_GT(merges.size(), 10u);
    EXPECT_EQ(file.number("tokenizer.ggml.bos_token_id"), 0);
    EXPECT_EQ(file.number("tokenizer.ggml.eos_token_id"), 0);
    EXPECT_EQ(file.number("tokenizer.ggml.eot_token_id"), 5);
    EXPECT_EQ(file.number("tokenizer.ggml.padding_token_id"), 1);
    EXPECT_TRUE(file.flag("tokenizer.ggml.add_bos_token"));
    EXPECT_EQ(file.text("tokenizer.chat_template"), "{{ messages }}");
    overwrite(exported.model + "/chat_template.jinja", "of a file");
    EXPECT_EQ(exported.read({"--overwrite"}).text("tokenizer.chat_template"), "of a file");
}

TEST(export_tokenizer, named_chat_templates) {
    const Tokenizer tokenizer = sentencepiece(abc, abc_merges);
    const Json config = {
        {"chat_template", {{{"name", "default"}, {"template", "D"}}, {{"name", "tool_use"}, {"template", "T"}}}}};
    const GgufFile file = Exported(tokenizer, tokenizer.vocab_size(), {}, config.dump()).read();
    EXPECT_EQ(file.text("tokenizer.chat_template"), "D");
    EXPECT_EQ(file.text("tokenizer.chat_template.tool_use"), "T");
    EXPECT_EQ(file.array("tokenizer.chat_templates").texts, std::vector<std::string>{"tool_use"});
}

// The rule by which text is cut has a name of llama.cpp's, or the tokenizer is refused.
TEST(export_tokenizer, cuts) {
    const Temporary at;
    overwrite(at / "text.txt", "low lower lowest newest newer the cat sat on the mat low low 123 4567");
    const std::pair<const char*, const char*> names[] = {
        {"gpt2", "gpt-2"},   {"llama3", "smaug-bpe"}, {"cl100k", "smaug-bpe"}, {"qwen2", "qwen2"},
        {"o200k", "gpt-4o"}, {"digits", "smollm"},    {"numbers", ""},         {"none", ""}};
    for (const auto& [rule, name] : names) {
        const std::string trained = at / rule;
        ASSERT_EQ(
            run({"tokenize", "--train-bpe", "270", "--data", at / "text.txt", "--out", trained, "--split", rule}).code,
            Exit::done);
        const Tokenizer tokenizer = load_tokenizer(trained);
        const Exported exported(tokenizer, tokenizer.vocab_size());
        if (*name) {
            EXPECT_EQ(exported.read().text("tokenizer.ggml.pre"), name);
        } else {
            exported.expect_refused(Exit::input,
                                    {"cannot cut text by the rule " + std::string(rule), "--tokenizer none"});
        }
    }
}

TEST(export_tokenizer, sentencepiece_scores_are_the_ranks) {
    const Tokenizer tokenizer = sentencepiece(abc, abc_merges);
    const GgufFile file = Exported(tokenizer, tokenizer.vocab_size() + 1, {.bos = 1, .eos = {2}}).read();
    EXPECT_EQ(file.text("tokenizer.ggml.model"), "llama");
    const auto& scores = file.array("tokenizer.ggml.scores").numbers;
    ASSERT_EQ(int(scores.size()), tokenizer.vocab_size() + 1);
    EXPECT_EQ(scores[size_t(place(file, "ab"))], 0);
    EXPECT_EQ(scores[size_t(place(file, "▁ab"))], -1);
    EXPECT_EQ(scores[size_t(place(file, "abc"))], -2);
    EXPECT_LT(scores[1], -2);
    EXPECT_EQ(types(file)[0], 2);
    EXPECT_EQ(types(file)[1], 3);
    EXPECT_EQ(types(file)[3], 6);
    EXPECT_EQ(types(file)[size_t(place(file, "ab"))], 1);
    EXPECT_TRUE(file.flag("tokenizer.ggml.add_space_prefix"));
    EXPECT_TRUE(file.flag("tokenizer.ggml.add_bos_token"));
    EXPECT_EQ(file.number("tokenizer.ggml.unknown_token_id"), 0);
    EXPECT_FALSE(file.keys.contains("tokenizer.ggml.merges"));
}

// llama.cpp would merge what the list does not.
TEST(export_tokenizer, sentencepiece_without_scores_is_refused) {
    const auto refused = [](const std::vector<std::string>& tokens, const std::string& merges, const std::string& why) {
        const Tokenizer tokenizer = sentencepiece(tokens, merges);
        Exported(tokenizer, tokenizer.vocab_size()).expect_refused(Exit::input, {why, "--tokenizer none"});
    };
    std::vector<std::string> more = abc;
    more.push_back("bc");
    refused(more, R"([["a","b"],["b","c"],["▁","ab"],["ab","c"]])", "\"a\" and \"bc\" make another");
    refused(more, R"([["a","b"],["b","c"],["ab","c"],["▁","ab"],["a","bc"]])", "merges of two tokens alternate");
}

TEST(export_tokenizer, words_are_refused_and_none_is_a_way_out) {
    const Tokenizer tokenizer = train_tokenizer(TokenizerKind::word, "the cat sat");
    const Exported exported(tokenizer, tokenizer.vocab_size());
    exported.expect_refused(Exit::input, {"cannot cut a text into words", "--tokenizer none"});
    const GgufFile file = exported.read({"--tokenizer", "none"});
    EXPECT_EQ(file.text("tokenizer.ggml.model"), "none");
    EXPECT_FALSE(file.keys.contains("tokenizer.ggml.tokens"));
    EXPECT_EQ(file.number("gpt2.vocab_size"), tokenizer.vocab_size());
}

TEST(export_tokenizer, a_vocabulary_that_is_too_large_or_missing) {
    const Tokenizer tokenizer = characters("abcdefgh");
    Exported exported(tokenizer, 8);
    exported.expect_refused(Exit::input, {"the tokenizer has 9 tokens, the model only 8"});
    std::filesystem::rename(exported.model + "/tokenizer.json", exported.model + "/other.json");
    exported.expect_refused(Exit::input, {"has no tokenizer", "--tokenizer PATH, or none"});
    exported.expect_refused(Exit::input, {"other.json", "9 tokens"}, {"--tokenizer", exported.model + "/other.json"});
}

TEST(export_tokenizer, files_are_replaced_on_request_only) {
    const Tokenizer tokenizer = characters("abc");
    const Exported exported(tokenizer, 4);
    exported.read();
    exported.expect_refused(Exit::usage, {"exists", "--overwrite"});
    exported.read({"--overwrite", "--type", "f16"});
    overwrite(exported.file, "my diary");
    exported.expect_refused(Exit::usage, {"is no GGUF file"}, {"--overwrite"});
    overwrite(exported.file, "");
    exported.read({"--overwrite"});
    // A link stays one, and what it leads to is replaced.
    const std::string real = exported.model + "/real.gguf";
    std::filesystem::rename(exported.file, real);
    std::filesystem::create_symlink(real, exported.file);
    exported.read({"--overwrite"});
    EXPECT_EQ(files::link_target(exported.file), real);
    std::filesystem::remove(exported.file);
    std::filesystem::create_directory(exported.file);
    const Outcome o = exported.write({"--overwrite"});
    EXPECT_EQ(o.code, Exit::usage);
    EXPECT_TRUE(has(o.error, "is a directory")) << o.error;
}

TEST(export_tokenizer, a_full_disk_leaves_nothing) {
    const Tokenizer tokenizer = characters("abc");
    const Exported exported(tokenizer, 4);
    for (const rlim_t room : {0, 100, 1000, 4000}) {
        const FileSizeLimit limit(room);
        exported.expect_refused(Exit::io, {"File too large"});
    }
    exported.read();
    const FileSizeLimit limit(1000);
    exported.expect_refused(Exit::io, {"File too large"}, {"--overwrite"});
}

TEST(export_tokenizer, a_place_that_is_not_there) {
    const Tokenizer tokenizer = characters("abc");
    Exported exported(tokenizer, 4);
    exported.file = exported.at / "no/where.gguf";
    const Outcome o = exported.write();
    EXPECT_EQ(o.code, Exit::io);
    EXPECT_TRUE(has(o.error, "there is no directory")) << o.error;
    EXPECT_FALSE(has(o.error, "\n")) << o.error;
}

TEST(export_tokenizer, command_lines) {
    expect_refusal({"export", "--model", "x", "--gguf", "y", "--type", "q4_k"}, {"--type", "f32, f16, bf16, q8_0"});
    expect_refusal({"export", "--model", "x"}, {"--gguf", "example"});
    expect_refusal({"export", "--gguf", "y"}, {"--model", "needs a trained model"});
    expect_refusal({"export", "--model", "tiny", "--gguf", "y"}, {"preset", "no weights"});
    expect_refusal({"export", "--model", "x", "--gguf", "y", "--steps", "5"}, {"--steps"});
    expect_refusal({"export", "--model", "x", "--gguf", "y", "--tokenizer", "none", "--pattern", "gpt2"},
                   {"--pattern"});
}
