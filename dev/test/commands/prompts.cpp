// What a model reads of a prompt.
#include "host/generate/prompts.h"
#include "dev/test/support/expect_error.h"
#include "dev/test/support/text_search.h"
#include "dev/test/tokenizer/bpe_case.h"
#include "host/tokenizer/load_tokenizer.h"
#include "run_case.h"

namespace {

// The tokenizer of a directory with these two files.
Tokenizer tokenizer_with(const std::string& golden, const Json& config) {
    const Temporary at;
    overwrite(at / "tokenizer.json", golden_case(golden)["file"].dump());
    if (!config.is_null()) overwrite(at / "tokenizer_config.json", config.dump());
    return load_tokenizer(at.path.string());
}

using Ids = std::vector<int>;

}  // namespace

// Not the model's bos_token_id decides but what transformers would do: the tokenizer's template and add_bos_token.
TEST(prompts, begin_as_the_tokenizers_files_say) {
    const SpecialTokens special{.bos = 0, .pad = -1, .eos = {}};
    const Json begin = "<|begin|>", end = {{"content", "<|endoftext|>"}, {"special", true}};
    const struct {
        const char* tokenizer;
        Json config;
        Ids before;
    } rows[] = {{"gpt2", Json(), {}},
                {"gpt2", {{"bos_token", end}}, {}},
                {"gpt2", {{"bos_token", end}, {"add_bos_token", false}}, {}},
                {"gpt2", {{"bos_token", end}, {"add_bos_token", true}}, {0}},
                {"qwen2", {{"bos_token", nullptr}, {"add_bos_token", false}}, {}},
                {"llama3", Json(), {340}},
                {"llama3", {{"bos_token", begin}}, {340}},
                {"llama3", {{"bos_token", begin}, {"add_bos_token", true}}, {340}},
                {"llama3", {{"bos_token", begin}, {"add_bos_token", false}}, {}}};
    for (const auto& row : rows) {
        const Tokenizer tokenizer = tokenizer_with(row.tokenizer, row.config);
        EXPECT_EQ(before_prompt(tokenizer, special, {}), row.before) << row.tokenizer << row.config;
        EXPECT_EQ(before_prompt(tokenizer, special, true), Ids{0});  // the flag overrides it
        EXPECT_EQ(before_prompt(tokenizer, special, false), Ids());
        Ids expected = row.before;
        for (const int id : tokenizer.encode("a cat")) expected.push_back(id);
        EXPECT_EQ(prompt_tokens(tokenizer, row.before, "a cat"), expected);
        EXPECT_EQ(tokenizer.hash(), tokenizer_with(row.tokenizer, Json()).hash());  // it makes the same tokens
    }
    const Tokenizer llama = tokenizer_with("llama3", Json());
    EXPECT_EQ(prompt_tokens(llama, {340}, "<|begin|>a"), prompt_tokens(llama, {340}, "a"));  // it is there once
    const Tokenizer ours = train_tokenizer(TokenizerKind::character, "a cat\n");
    EXPECT_EQ(before_prompt(ours, special, {}), Ids{0});  // its files say nothing: as the model was trained
    EXPECT_EQ(before_prompt(ours, {}, {}), Ids());
    expect_error(Exit::usage, {"--bos", "names no bos_token_id"}, [&] { before_prompt(ours, {}, true); });
}

TEST(prompts, of_characters_that_the_model_does_not_know) {
    Temporary at;
    const fs::path text = write_text(at);
    ASSERT_EQ(run(small(at.path / "run", text, {"--tokenizer", "char"})).code, Exit::done);
    const auto sample = [&](const std::string& prompt) {
        return run({"sample", "--model", at / "run", "--tokens", "3", "--count", "3", "--prompt", prompt});
    };
    EXPECT_EQ(sample("the cat").error, "");
    const Outcome some = sample("the CAT");
    EXPECT_EQ(some.code, Exit::done) << some.error;
    EXPECT_EQ(some.error,
              "warning: \"the CAT\": 3 of its 7 tokens are not in the model's vocabulary and are read as the "
              "unknown one\n");
    const Outcome none = sample("猫犬");
    EXPECT_EQ(none.code, Exit::usage);
    EXPECT_TRUE(has(none.error, "\"猫犬\": none of it is in the model's vocabulary")) << none.error;
    const Outcome trained =
        run(small(at.path / "second", text, {"--tokenizer", "char", "--prompt", "a CAT", "--steps", "2"}));
    EXPECT_EQ(trained.code, Exit::done);
    EXPECT_EQ(count(trained.error, "3 of its 5 tokens are not in the model's vocabulary"), 1) << trained.error;
}
