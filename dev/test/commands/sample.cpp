// `train_gpt sample` as a user runs it.
#include <fmt/core.h>
#include <unistd.h>
#include <cstdio>
#include <iostream>
#include "dev/test/support/expect_error.h"
#include "dev/test/support/text_search.h"
#include "expect_refusal.h"
#include "host/checkpoint/checkpoint.h"
#include "host/tokenizer/bpe_train.h"
#include "host/tokenizer/tokenizer_json.h"
#include "run_case.h"

namespace {

// A run in which a model with a context of 16 learned some text.
struct Trained {
    Temporary at;
    std::string model = at / "run";
    explicit Trained(const std::vector<std::string>& changes = {}) {
        std::vector<std::string> more{"--steps", "60", "--sample-tokens", "0"};
        more.insert(more.end(), changes.begin(), changes.end());
        const Outcome o = run(small(model, write_text(at), more));
        EXPECT_EQ(o.code, Exit::done) << o.error;
    }
    Outcome sample(const std::vector<std::string>& args) const {
        std::vector<std::string> all{"sample", "--model", model, "--device", "cpu"};
        if (std::ranges::find(args, "--tokens") == args.end()) all.insert(all.end(), {"--tokens", "40"});
        all.insert(all.end(), args.begin(), args.end());
        return run(all);
    }
    std::string text(const std::vector<std::string>& args) const {
        const Outcome o = sample(args);
        EXPECT_EQ(o.code, Exit::done) << o.error;
        return o.out;
    }
};

// Standard input for as long as it lives: a pipe with this in it.
class Input {
public:
    explicit Input(const std::string& text) : before(dup(STDIN_FILENO)) {
        int ends[2];
        EXPECT_EQ(pipe(ends), 0);
        EXPECT_EQ(write(ends[1], text.data(), text.size()), ssize_t(text.size()));
        use(ends[0]);
        close(ends[1]), close(ends[0]);
    }
    ~Input() {
        use(before);
        close(before);
    }
    Input(const Input&) = delete;

private:
    static void use(int file) {
        dup2(file, STDIN_FILENO);
        clearerr(stdin);
        std::cin.clear();
    }
    const int before;
};

TEST(sample, tokenizer_that_lies_elsewhere) {
    const Trained trained;
    const std::string text = trained.text({"--seed", "2"}), outside = trained.at / "elsewhere.json";
    std::filesystem::rename(model_directory(trained.model) + "/tokenizer.json", outside);
    EXPECT_EQ(trained.text({"--seed", "2", "--tokenizer", outside}), text);
    EXPECT_EQ(trained.sample({"--seed", "2"}).code, Exit::input);
}

// 40 tokens with a context of 16: what is visible restarts three times.
TEST(sample, the_same_with_and_without_cache) {
    const Trained trained;
    for (const std::vector<std::string>& how :
         {std::vector<std::string>{"--prompt", "the c", "--count", "3"},
          {"--prompt", "mat", "--temperature", "0", "--count", "1"},
          {"--top-k", "5", "--repetition-penalty", "1.2", "--seed", "3", "--context", "9"}}) {
        std::vector<std::string> slow = how, alone = how;
        slow.push_back("--cache=false");
        alone.insert(alone.end(), {"--batch", "1"});
        const std::string text = trained.text(how);
        EXPECT_EQ(trained.text(slow), text);
        EXPECT_EQ(trained.text(alone), text);
    }
}

TEST(sample, more_texts_go_on_with_other_random_numbers) {
    const Trained trained;
    const std::string one = trained.text({"--prompt", "the c"}),
                      three = trained.text({"--prompt", "the c", "--count", "3"});
    EXPECT_TRUE(three.starts_with(one.substr(0, one.size() - 1) + "\n---\nthe c")) << three;
    EXPECT_EQ(count(three, "---\n"), 2);
    EXPECT_NE(three.substr(0, one.size()), three.substr(one.size() + 4, one.size()));
    const std::string shorter = trained.text({"--prompt", "the c", "--tokens", "9"});
    EXPECT_EQ(shorter.size(), 5 + 9 + 1u);
    EXPECT_EQ(one.substr(0, shorter.size() - 1), shorter.substr(0, shorter.size() - 1));
}

TEST(sample, prompts_of_a_file) {
    const Trained trained;
    overwrite(trained.at / "prompts.txt", "the cat\r\n\n  \nsat on\nm");
    overwrite(trained.at / "prompts.jsonl", "\"the cat\"\n{\"id\": 1, \"prompt\": \"sat on\"}\n{\"prompt\": \"m\"}\n");
    const std::string text = trained.text({"--prompt-file", trained.at / "prompts.txt", "--count", "2"});
    EXPECT_EQ(count(text, "---\n"), 5);
    EXPECT_TRUE(text.starts_with("the cat") && count(text, "---\nthe cat") == 1 && count(text, "---\nsat on") == 2 &&
                count(text, "---\nm") == 2)
        << text;
    EXPECT_EQ(trained.text({"--prompt-file", trained.at / "prompts.jsonl", "--count", "2"}), text);
    const Input input("the cat\nsat on\nm\n");
    EXPECT_EQ(trained.text({"--prompt-file", "-", "--count", "2", "--batch", "4"}), text);
}

TEST(sample, a_loop_of_prompts) {
    const Trained trained;
    const Input input("the cat\n\nsat");
    const std::string text = trained.text({"--interactive"});
    EXPECT_TRUE(text.starts_with("the cat")) << text;
    EXPECT_EQ(count(text, "---"), 0);
    const Input again("the cat\n");
    EXPECT_TRUE(text.starts_with(trained.text({"--interactive", "--cache=false"})));
}

// Makes weights huge, which multiply to infinities. Without a manifest nobody knows what they were.
void spoil(const std::string& run) {
    fs::remove(run + "/latest/manifest.json");
    std::fstream file(run + "/latest/model.safetensors", std::ios::in | std::ios::out | std::ios::binary);
    uint64_t header = 0;
    file.read(reinterpret_cast<char*>(&header), 8);
    file.seekp(8 + std::streamoff(header));
    for (int i = 0; i < 5000; i++) file.write("\x00\x00\x7f\x7f", 4);  // 3.4e38
}

TEST(sample, logits_that_are_no_numbers_end_it) {
    const Trained trained;
    spoil(trained.model);
    for (const std::vector<std::string>& how :
         {std::vector<std::string>{}, {"--cache=false"}, {"--temperature", "0"}, {"--count", "3", "--top-p", "0.9"}}) {
        std::vector<std::string> args{"--prompt", "the c"};
        args.insert(args.end(), how.begin(), how.end());
        const Outcome o = trained.sample(args);
        EXPECT_EQ(o.code, Exit::numeric) << o.error;
        EXPECT_TRUE(o.error.starts_with("token 1 of text 1: the model's logits are not finite; are its weights"))
            << o.error;
        EXPECT_EQ(count(o.error, "\n"), 0);
        EXPECT_EQ(o.out, "the c\n");
    }
}

// In training a sample is something to look at: three bad losses end the run, as they would without it.
TEST(sample, a_run_outlives_a_sample_that_cannot_be_drawn) {
    const Trained trained;
    spoil(trained.model);
    const Outcome o =
        run({"--model", trained.model, "--data", trained.at / "text.txt", "--out", trained.at / "second", "--batch",
             "2", "--context", "16", "--steps", "9", "--sample-every", "1", "--sample-tokens", "4", "--device", "cpu"});
    EXPECT_EQ(o.code, Exit::numeric) << o.error;
    EXPECT_EQ(count(o.error, "warning: no sample after step 1: the model's logits are not finite\n"), 1) << o.error;
    EXPECT_TRUE(has(o.error, "step 3") && has(o.error, "for the third time in a row")) << o.error;
}

// The model learns to end its documents.
TEST(sample, stops_where_the_model_ends_a_text) {
    Temporary at;
    PieceCounts counts;
    count_pieces(counts, "the cat sat on mat 1\n", SplitRule::llama3);
    fs::create_directory(at.path / "bpe");
    overwrite(at / "bpe/tokenizer.json",
              tokenizer_json(train_bpe({270, 0, SplitRule::llama3, {"<|endoftext|>"}}, counts)));
    std::string documents;
    for (int i = 0; i < 60; i++) documents += "{\"text\": \"the cat sat\"}\n";
    overwrite(at / "text.jsonl", documents);
    const Outcome shards =
        run({"tokenize", "--tokenizer", at / "bpe", "--data", at / "text.jsonl", "--out", at / "tokens"});
    ASSERT_EQ(shards.code, Exit::done) << shards.error;
    const Trained trained({"--tokenizer", at / "bpe", "--data", at / "tokens/*.bin"});
    const std::vector<std::string> how{"--prompt", "the", "--temperature", "0"};
    EXPECT_EQ(trained.text(how), "the cat sat\n");
    std::vector<std::string> on = how;
    on.push_back("--ignore-eos");
    EXPECT_GT(count(trained.text(on), "the cat sat"), 2);
}

TEST(sample, says_what_is_wrong) {
    const Trained trained;
    overwrite(trained.at / "empty.txt", "\n\n");
    overwrite(trained.at / "bad.jsonl", "\"fine\"\n{\"text\": \"the cat\"}\n");
    const struct {
        std::vector<std::string> args;
        Exit code;
        const char* says;
    } cases[] = {
        {{"--prompt-file", trained.at / "absent.txt"}, Exit::input, "absent.txt"},
        {{"--prompt-file", trained.at / "empty.txt"}, Exit::input, "empty.txt: has no prompts"},
        {{"--prompt-file", trained.at / "bad.jsonl"}, Exit::input, "bad.jsonl, line 2: has no text named \"prompt\""},
        {{"--context", "17"}, Exit::usage, "--context: 17 is beyond the model's 16"},
        {{"--prompt", "a", "--prompt-file", "b"}, Exit::usage, "--prompt: contradicts --prompt-file"},
        {{"--interactive", "--prompt", "a"}, Exit::usage, "--interactive: contradicts --prompt"},
        {{"--repetition-penalty", "0"}, Exit::usage, "--repetition-penalty"},
        {{"--batch", "17"}, Exit::usage, "--batch"},
        {{"--tokenizer", "char"}, Exit::usage, "--tokenizer char: is learned from a text"},
    };
    for (const auto& c : cases) {
        const Outcome o = trained.sample(c.args);
        EXPECT_EQ(o.code, c.code) << c.says << ": " << o.error;
        EXPECT_NE(o.error.find(c.says), std::string::npos) << o.error;
        EXPECT_EQ(count(o.error, "\n"), 0);
        EXPECT_EQ(o.out, "");
    }
}

}  // namespace
