// `train_gpt tokenize`: shards of text, of JSON lines and of what is neither, and what training makes of them.
#include "dev/test/support/captured.h"
#include "dev/test/support/expect_error.h"
#include "dev/test/support/temporary_directory.h"
#include "dev/test/tokenizer/bpe_case.h"
#include "expect_refusal.h"
#include "host/commands/tokenize_command.h"
#include "host/data/documents.h"
#include "host/data/load_data.h"
#include "host/data/shard_writer.h"
#include "host/data/token_source.h"
#include "host/options/options_parse.h"
#include "host/tokenizer/bpe_train.h"
#include "host/tokenizer/load_tokenizer.h"
#include "host/tokenizer/tokenizer_json.h"

namespace {

struct Case {
    Temporary folder;
    std::string tokenizer = folder / "tokenizer.json";
    Case() { overwrite(tokenizer, golden_case("gpt2")["file"].dump()); }

    void run(Args flags) const {
        Args args = {"tokenize", "--tokenizer", tokenizer, "--out", folder / "out"};
        args.insert(args.end(), flags.begin(), flags.end());
        const Captured quiet;
        tokenize(parse(args));
    }
    // The tokens of all shards.
    std::vector<int> tokens() const {
        std::vector<int> all;
        for (const std::string& name : files::list(folder / "out")) {
            if (!name.ends_with(".bin")) continue;
            TokenSource source(1 << 20);
            source.add(open_shard(folder / "out/" + name));
            std::vector<int> some(source.size());
            source.read(some, 0);
            all.insert(all.end(), some.begin(), some.end());
        }
        return all;
    }
    Tokenizer loaded() const { return load_tokenizer(tokenizer); }
};

std::vector<int> joined(const Tokenizer& tokenizer, const std::vector<std::string>& documents) {
    std::vector<int> all;
    for (const std::string& document : documents) {
        all.push_back(tokenizer.separator());
        const std::vector<int> ids = tokenizer.encode(document);
        all.insert(all.end(), ids.begin(), ids.end());
    }
    return all;
}

std::string output_of(const Args& args) {
    Captured output;
    tokenize(parse(args));
    return output.take();
}

}  // namespace

TEST(tokenize, files_become_documents) {
    const Case c;
    const std::string long_text = hostile_text(5, 400000);  // several blocks and parts, cut between words
    overwrite(c.folder / "a.txt", long_text);
    overwrite(c.folder / "b.txt", "\xEF\xBB\xBFshort \xFF text");
    overwrite(
        c.folder / "c.jsonl",
        "{\"text\": \"one\\nline\"}\r\n\n{\"id\": 3, \"text\": \"\"}\n{\"text\": \"last \\u00e9 <|endoftext|>\"}");
    c.run({"--data", c.folder / "a.txt", c.folder / "b.txt", c.folder / "c.jsonl"});
    EXPECT_EQ(c.tokens(),
              joined(c.loaded(), {long_text, "short \ufffd text", "one\nline", "", "last é <|endoftext|>"}));
    const Json facts = read_json(c.folder / "out/dataset.json");
    EXPECT_EQ(facts["documents"], 5);
    EXPECT_EQ(facts["tokens"], c.tokens().size());
    EXPECT_EQ(facts["tokenizer"], files::hex(c.loaded().hash()));
    EXPECT_EQ(facts["shards"][0]["xxh64"], files::hex(files::hash_file(c.folder / "out/tokens_000000.bin")));
    EXPECT_EQ(load_tokenizer(c.folder / "out").hash(), c.loaded().hash());
}

// Files are read a block at a time, and none of these words may notice.
TEST(tokenize, blocks_end_between_words) {
    const Case c;
    std::string text;
    for (int i = 0; i < 700000; i++) text += "abcdefghijklm ";
    PieceCounts counts;
    count_pieces(counts, text.substr(0, 140), SplitRule::gpt2);
    const Tokenizer tokenizer = train_bpe({300, 0, SplitRule::gpt2, {"<|endoftext|>"}}, counts);
    overwrite(c.tokenizer, tokenizer_json(tokenizer));
    overwrite(c.folder / "a.txt", text);
    c.run({"--data", c.folder / "a.txt"});
    EXPECT_EQ(c.tokens().size(), 700002u);  // a separator, the first word, 699,999 with a space, the last space
    EXPECT_EQ(c.tokens(), joined(tokenizer, {text}));
}

TEST(tokenize, shards_end_where_they_are_full) {
    const Case c;
    overwrite(c.folder / "a.txt", "some words, again some words, and more of them");
    c.run({"--data", c.folder / "a.txt"});
    const std::vector<int> whole = c.tokens();
    c.run({"--data", c.folder / "a.txt", "--shard-tokens", "7", "--overwrite"});
    EXPECT_EQ(c.tokens(), whole);
    const Json facts = read_json(c.folder / "out/dataset.json");
    ASSERT_EQ(facts["shards"].size(), (whole.size() + 6) / 7);
    for (size_t i = 0; i < facts["shards"].size(); i++)
        EXPECT_EQ(facts["shards"][i]["tokens"], std::min<size_t>(7, whole.size() - 7 * i));
}

TEST(tokenize, options_change_what_is_written) {
    const Case c;
    overwrite(c.folder / "a.txt", "{\"words\": \"x<|endoftext|>y\"}\n");
    c.run({"--data", c.folder / "a.txt", "--format", "jsonl", "--field", "words", "--special", "--separator", "none"});
    std::vector<int> expected;
    c.loaded().bpe->encode(expected, "x<|endoftext|>y", Specials::recognised);
    EXPECT_EQ(c.tokens(), expected);
    EXPECT_EQ(std::count(expected.begin(), expected.end(), 0), 1);
    EXPECT_TRUE(read_json(c.folder / "out/dataset.json")["separator"].is_null());
}

TEST(tokenize, training_reads_what_was_written) {
    const Case c;
    overwrite(c.folder / "a.jsonl",
              "{\"text\": \"first document, quite short\"}\n{\"text\": \"second document, which is longer\"}\n");
    c.run({"--data", c.folder / "a.jsonl", "--shard-tokens", "20"});
    DataOptions options;
    options.data = {c.folder / "out/*.bin"};
    options.T = 4, options.val_fraction = 0;
    const Data data = load_data(options);
    EXPECT_EQ(data.vocab, c.loaded().vocab_size());
    EXPECT_EQ(data.train.separator, 0);
    ASSERT_TRUE(data.tokenizer);
    EXPECT_EQ(data.tokenizer->hash(), c.loaded().hash());
    options.tokenizer = byte_tokenizer();
    expect_error(Exit::input, {"another tokenizer"}, [&] { load_data(options); });
    options.tokenizer.reset();
    const Case other;  // of another tokenizer
    overwrite(other.tokenizer, golden_case("llama3")["file"].dump());
    overwrite(other.folder / "a.txt", "some other text for validation");
    other.run({"--data", other.folder / "a.txt"});
    options.val = {other.folder / "out/*.bin"};
    expect_error(Exit::input, {"another tokenizer"}, [&] { load_data(options); });
    options.val.clear();
    std::string sidecar = files::read_file(c.folder / "out/dataset.json", 1 << 20);
    sidecar.replace(sidecar.find("\"tokens\": 20"), 12, "\"tokens\": 21");
    overwrite(c.folder / "out/dataset.json", sidecar);
    expect_error(Exit::input, {"tokens_000000.bin", "20", "21"}, [&] { load_data(options); });
}

TEST(tokenize, more_than_65536_tokens_take_four_bytes) {
    const Case c;
    nlohmann::json file = golden_case("gpt2")["file"];
    for (int id = int(file["model"]["vocab"].size()); id < 66000; id++)
        file["model"]["vocab"]["token " + std::to_string(id)] = id;
    overwrite(c.tokenizer, file.dump());
    overwrite(c.folder / "a.txt", "four bytes");
    c.run({"--data", c.folder / "a.txt"});
    EXPECT_EQ(open_shard(c.folder / "out/tokens_000000.bin").bytes_per_token, 4u);
    EXPECT_EQ(c.tokens(), joined(c.loaded(), {"four bytes"}));
}

TEST(tokenize, prints_ids_and_text) {
    const Case c;
    const auto& texts = tokenizing_goldens()["texts"];
    const auto& llama3 = golden_case("llama3");
    overwrite(c.tokenizer, llama3["file"].dump());
    for (size_t i = 1; i < texts.size(); i += 5) {
        if (texts[i].get<std::string>().find('\0') != std::string::npos) continue;
        EXPECT_EQ(output_of({"tokenize", "--tokenizer", c.tokenizer, "--text=" + texts[i].get<std::string>()}),
                  llama3["full"][i].dump() + "\n");
    }
    EXPECT_EQ(
        output_of({"tokenize", "--tokenizer", c.tokenizer, "--text", "a<|endoftext|>", "--special=false"}).find("[0"),
        std::string::npos);
    EXPECT_EQ(output_of({"tokenize", "--tokenizer", "byte", "--text", ""}), "[]\n");
    EXPECT_EQ(output_of({"tokenize", "--tokenizer", "byte", "--text="}), "[]\n");
    EXPECT_EQ(output_of({"tokenize", "--tokenizer", "byte", "--ids", "[104, 195, 10]"}), "h\ufffd\n\n");
    EXPECT_EQ(output_of({"tokenize", "--tokenizer", c.tokenizer, "--ids", "[0]"}), "<|endoftext|>\n");
    EXPECT_EQ(output_of({"tokenize", "--tokenizer", c.tokenizer, "--ids", "[0]", "--special=false"}), "\n");
}

TEST(tokenize, trains_a_tokenizer_and_writes_it) {
    const Case c;
    overwrite(c.folder / "a.txt", "words and words and more words\nand lines\n");
    const std::string said =
        output_of({"tokenize", "--train-bpe", "265", "--data", c.folder / "a.txt", "--out", c.folder / "trained/"});
    EXPECT_TRUE(has(said, "done: 265 tokens")) << said;
    const Tokenizer tokenizer = load_tokenizer(c.folder / "trained");
    EXPECT_EQ(tokenizer.vocab_size(), 265);
    EXPECT_LT(tokenizer.encode("words and words").size(), 8u);
}

TEST(tokenize, bad_input_is_one_line_and_writes_nothing) {
    const Case c;
    const auto expect_bad = [&](const std::string& name, const std::string& bytes,
                                std::initializer_list<std::string> words) {
        overwrite(c.folder / name, bytes);
        expect_error(Exit::input, words, [&] { c.run({"--data", c.folder / name}); });
        EXPECT_FALSE(files::exists(c.folder / "out"));
    };
    expect_bad("a.jsonl", "{\"text\": \"x\"}\n{\"text\": 3}\n", {"a.jsonl", "line 2", "not text"});
    expect_bad("a.jsonl", "{\"text\": \"x\"}\n{\"txt\": \"y\"}\n", {"line 2", "has no \"text\"", "--field"});
    expect_bad("a.jsonl", "\n{\"text\": \"x\"\n", {"line 2", "JSON"});
    expect_bad("a.jsonl", "{\"text\": \"\xFF\"}\n", {"line 1", "JSON"});
    expect_bad("a.jsonl", "{\"text\": \"\\ud800\"}\n", {"line 1", "JSON"});
    expect_bad("a.jsonl", "[\"text\"]\n", {"line 1", "object"});
    expect_bad("a.txt", "", {"a.txt", "empty"});
    expect_bad("a.bin", "tokens", {"a.bin", "tokens already"});
    expect_bad("a.txt",
               "\xFF\xFE"
               "a",
               {"UTF-16"});
    expect_bad("a.txt", std::string("\xFF\xFE\0\0a\0\0\0", 8), {"UTF-32"});
    expect_bad("a.txt", std::string("\0\0\xFE\xFF\0\0\0a", 8), {"UTF-32"});
    expect_error(Exit::input, {"directory"}, [&] { c.run({"--data", c.folder.path}); });
    expect_error(Exit::input, {"no file matches"}, [&] { c.run({"--data", c.folder / "*.none"}); });
    overwrite(c.folder / "a.txt", "text");
    expect_error(Exit::usage, {"--separator", "no token"}, [&] {
        c.run({"--data", c.folder / "a.txt", "--separator", "<none>"});
    });
    std::filesystem::create_directory(c.folder / "out");
    expect_error(Exit::usage, {"--out", "exists"}, [&] { c.run({"--data", c.folder / "a.txt"}); });
    overwrite(c.folder / "out/notes.txt", "mine");
    expect_error(Exit::usage, {"--out", "not replaced", "notes.txt"}, [&] {
        c.run({"--data", c.folder / "a.txt", "--overwrite"});
    });
}

TEST(tokenize, says_what_is_missing) {
    expect_refusal({"tokenize", "--tokenizer", "x"}, {"nothing to do"});
    expect_refusal({"tokenize", "--text", "a"}, {"--tokenizer", "which one"});
    expect_refusal({"tokenize", "--tokenizer", "x", "--text", "a", "--ids", "[1]"}, {"one of them"});
    expect_refusal({"tokenize", "--tokenizer", "x", "--data", "a"}, {"--out"});
    expect_refusal({"tokenize", "--train-bpe", "300", "--text", "a"}, {"--data"});
    expect_refusal({"tokenize", "--tokenizer", "x", "--train-bpe", "300", "--data", "a", "--out", "b"},
                   {"--train-bpe", "contradicts"});
    expect_refusal({"tokenize", "--tokenizer", "x", "--text", "a", "--split", "qwen2"}, {"--train-bpe"});
    const Case c;
    for (const char* ids : {"[1", "{}", "[1.5]", "[-1]", "[99999]", "[\"a\"]", "7"})
        EXPECT_THROW(output_of({"tokenize", "--tokenizer", c.tokenizer, "--ids", ids}), Error) << ids;
}
