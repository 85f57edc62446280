// Training a byte-level BPE: token for token and merge for merge what Hugging Face's BpeTrainer makes.
#include "host/tokenizer/bpe_train.h"
#include "bpe_case.h"
#include "dev/test/support/expect_error.h"
#include "host/tokenizer/tokenizer_json.h"

namespace {

PieceCounts counts_of(const std::string& text, SplitRule split = SplitRule::gpt2) {
    PieceCounts counts;
    count_pieces(counts, text, split);
    return counts;
}

}  // namespace

TEST(bpe_train, makes_the_librarys_tokens_and_merges) {
    for (const auto& golden : tokenizing_goldens()["training"]) {
        const BpeTraining how{golden["vocab"], golden["min_frequency"], SplitRule::gpt2, {"<|endoftext|>"}};
        const Tokenizer tokenizer = train_bpe(how, counts_of(golden["text"]));
        EXPECT_EQ(tokenizer.bpe->names, golden["tokens"].get<std::vector<std::string>>());
        std::vector<std::vector<std::string>> merges;
        for (const MergeRule& rule : tokenizer.bpe->merges)
            merges.push_back({tokenizer.bpe->names[size_t(rule.left)], tokenizer.bpe->names[size_t(rule.right)]});
        EXPECT_EQ(merges, golden["merges"].get<std::vector<std::vector<std::string>>>());
        EXPECT_GT(merges.size(), 3u);
    }
}

TEST(bpe_train, counts_lines_with_their_ends) {
    const PieceCounts expected = {{"a", 2}, {"\n", 3}, {" b", 1}, {"b", 1}};
    EXPECT_EQ(counts_of("a b\n\na\nb"), expected);
    PieceCounts twice = expected;
    add_counts(twice, expected);
    EXPECT_EQ(twice["\n"], 6u);
}

TEST(bpe_train, reads_back_what_it_made) {
    const BpeTraining how{300, 0, SplitRule::llama3, {"<|endoftext|>", "<pad>"}};
    const Tokenizer tokenizer =
        train_bpe(how, counts_of("some words, some more words; 12345 words\n", SplitRule::llama3));
    const Tokenizer again = tokenizer_from_json(tokenizer_json(tokenizer), "again");
    EXPECT_EQ(again.hash(), tokenizer.hash());
    EXPECT_EQ(again.tokens, tokenizer.tokens);
    EXPECT_EQ(tokenizer.separator(), 0);
    EXPECT_EQ(again.encode("more <pad> words", Specials::recognised),
              tokenizer.encode("more <pad> words", Specials::recognised));
    EXPECT_EQ(tokenizer_json(again), tokenizer_json(tokenizer));
}

TEST(bpe_train, says_what_is_too_few) {
    expect_error(Exit::usage, {"--train-bpe", "256 tokens are too few", "257"}, [] {
        train_bpe({256, 0, SplitRule::gpt2, {"<|endoftext|>"}}, {});
    });
    EXPECT_EQ(train_bpe({257, 0, SplitRule::gpt2, {"<|endoftext|>"}}, counts_of("abab")).vocab_size(), 257);
    EXPECT_EQ(train_bpe({5000, 0, SplitRule::gpt2, {}}, counts_of("abab")).vocab_size(), 258);  // no pair is left
}
