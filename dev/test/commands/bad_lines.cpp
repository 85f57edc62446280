// JSON lines that are bad: what every command that reads them does.
#include "dev/test/support/text_search.h"
#include "run_case.h"

namespace {

TEST(bad_lines, every_reader_says_how_to_go_on_and_counts) {
    const Temporary at;
    const std::string lines = at / "lines.jsonl";
    std::string text;
    for (int i = 0; i < 30; i++) text += "{\"text\": \"the cat sat on mat " + std::to_string(i % 10) + "\"}\n";
    overwrite(lines, text + "{\"text\": null}\n" + text + "{\"text\": \"the cat sa");
    const Outcome model = run(small(at.path / "model", write_text(at)));
    ASSERT_EQ(model.code, Exit::done) << model.error;
    const std::vector<std::vector<std::string>> commands{
        small(at.path / "trained", lines),
        {"eval", "--model", (at.path / "model").string(), "--data", lines},
        {"tokenize", "--tokenizer", "byte", "--separator", "none", "--data", lines, "--out", at / "shards"},
        {"tokenize", "--train-bpe", "270", "--data", lines, "--out", at / "bpe"}};
    for (std::vector<std::string> args : commands) {
        const Outcome refused = run(args);
        EXPECT_EQ(refused.code, Exit::input) << args[0];
        EXPECT_TRUE(has(refused.error, "lines.jsonl: line 31: \"text\" is null, not text; --skip-bad-lines"))
            << args[0] << ": " << refused.error;
        args.push_back("--skip-bad-lines");
        const Outcome skipped = run(args);
        EXPECT_EQ(skipped.code, Exit::done) << args[0] << ": " << skipped.error;
        EXPECT_TRUE(has(skipped.error, "warning: --data: 2 bad lines were skipped; the first: ") &&
                    has(skipped.error, "lines.jsonl: line 31: \"text\" is null, not text\n"))
            << args[0] << ": " << skipped.error;
    }
    const Outcome again = run({"--resume", at / "trained", "--steps", "9"});
    EXPECT_EQ(again.code, Exit::done) << again.error;
}

}  // namespace
