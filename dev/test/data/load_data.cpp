// Text files and shards: several as one, and those nobody should trust.
#include <sys/stat.h>
#include <unistd.h>
#include "dataset_case.h"

namespace {
void read_all(const Data& data) {
    std::vector<int> tokens(data.train.source->size());
    data.train.source->read(tokens, 0);
}
}  // namespace

TEST(data_files, several_files_and_globs_are_sorted) {
    const Temporary folder;
    write(folder, "b.txt", "world ");
    write(folder, "a.txt", "hello ");
    const std::string pattern = folder.path / "*.txt";
    const Data data = load({pattern}, 4, [](DataOptions& o) { o.val_fraction = 0; });
    ASSERT_EQ(data.files.size(), 2u);
    EXPECT_EQ(data.files[0].path, folder.path / "a.txt");
    std::vector<int> tokens(12);
    data.train.source->read(tokens, 0);
    EXPECT_EQ(data.tokenizer->decode(tokens), "hello world ");
}

TEST(data_files, shards_are_one_sequence) {
    const Temporary folder;
    std::vector<uint16_t> a, b;
    for (uint16_t i = 0; i < 100; i++) a.push_back(i), b.push_back(uint16_t(50156 + i));
    b.push_back(50256);  // the last id there is
    write(folder, "x_000001.bin", gpt2_shard(b));
    write(folder, "x_000000.bin", gpt2_shard(a));
    const Data data = load({folder.path / "x_*.bin"}, 16, [](DataOptions& o) { o.val_fraction = 0; });
    EXPECT_EQ(data.vocab, 50257);
    EXPECT_EQ(data.train.separator, 50256);
    EXPECT_FALSE(data.tokenizer);
    std::vector<int> all(201), some(20);
    data.train.source->read(all, 0);
    for (size_t i = 0; i < 201; i++) EXPECT_EQ(all[i], i < 100 ? int(a[i]) : int(b[i - 100]));
    data.train.source->read(some, 90);
    EXPECT_TRUE(std::equal(some.begin(), some.end(), all.begin() + 90));

    write(folder, "wide.bin", llama3_shard({128000, 5, 128255, 7, 8, 9}));
    const Data wide =
        load({folder.path / "wide.bin"}, 4, [](DataOptions& o) { o.val_fraction = 0, o.mask = DocumentMask::on; });
    EXPECT_EQ(wide.vocab, 128256);
    EXPECT_EQ(batch_of(wide.train, 0, 1).token.size(), 4u);
}

TEST(data_files, bad_shards_are_refused) {
    const Temporary folder;
    const std::vector<uint16_t> tokens = {1, 2, 3, 4, 5, 6, 7, 8};
    const std::string good = gpt2_shard(tokens);
    const auto swapped = int(__builtin_bswap32(20240520));
    struct {
        const char* reason;
        std::string bytes;
    } rows[] = {{"0 bytes", ""},
                {"1 bytes", "x"},
                {"0 tokens", good.substr(0, 1024).replace(8, 4, std::string(4, '\0'))},
                {"header", good.substr(0, 1023)},
                {"1039 bytes", good.substr(0, 1039)},
                {"1038 bytes", good.substr(0, 1038)},
                {"1042 bytes", good + "xy"},
                {"not a token shard", shard_bytes(tokens, 1, 1, 8)},
                {"wrong", shard_bytes(tokens, swapped, 1, 8)},
                {"version is 2", shard_bytes(tokens, 20240520, 2, 8)},
                {"-1 tokens", shard_bytes(tokens, 20240520, 1, -1)},
                {"tokens make", shard_bytes(tokens, 20240520, 1, 2147483647)},
                {"version is 1", shard_bytes(tokens, 20240801, 1, 4)}};
    for (const auto& row : rows) {
        const std::string path = write(folder, "bad.bin", row.bytes);
        expect_failure(Exit::input, row.reason, [&] { load({path}, 4); });
        expect_failure(Exit::input, path, [&] { load({path}, 4); });
    }
    const std::string narrow = write(folder, "a.bin", good), wide = write(folder, "b.bin", llama3_shard({1, 2, 3}));
    expect_failure(Exit::input, "another kind", [&] { load({narrow, wide}, 4); });
    const std::string text = write(folder, "a.txt", letters(100));
    expect_failure(Exit::usage, "mixed", [&] { load({narrow, text}, 4); });
    expect_failure(Exit::usage, "--tokenizer", [&] { load({narrow}, 4, [&](DataOptions& o) { o.val = {text}; }); });
}

TEST(data_files, ids_outside_the_vocabulary_never_reach_a_model) {
    const Temporary folder;
    const std::string path = write(folder, "a.bin", gpt2_shard({1, 2, 3, 50256, 5, 6, 50257, 8}));
    const Data data = load({path}, 4, [](DataOptions& o) { o.val_fraction = 0; });
    expect_failure(Exit::input, path + ": token 6 is 50257, outside the vocabulary of 50257", [&] {
        for (uint64_t i = 0; i < 20; i++) batch_of(data.train, i, 1);
    });
    const Data larger = load({path}, 4, [](DataOptions& o) { o.val_fraction = 0, o.vocab = 50304; });
    for (uint64_t i = 0; i < 20; i++) batch_of(larger.train, i, 1);
}

TEST(data_files, a_shard_that_changes_is_noticed) {
    const Temporary folder;
    std::vector<uint16_t> tokens(300000, 7);
    const std::string path = write(folder, "a.bin", gpt2_shard(tokens));
    const uint64_t before = load({path}, 4).fingerprint;
    tokens[299999] = 8;
    write(folder, "a.bin", gpt2_shard(tokens));
    EXPECT_NE(load({path}, 4).fingerprint, before);
    tokens[299999] = 7;
    const std::string renamed = write(folder, "b.bin", gpt2_shard(tokens));
    EXPECT_EQ(load({renamed}, 4).fingerprint, before);
    EXPECT_NE(load({renamed}, 4, [](DataOptions& o) { o.val_fraction = 0.2; }).fingerprint, before);
    const Data data = load({path}, 4);
    write(folder, "a.bin", gpt2_shard({1, 2, 3}));
    expect_failure(Exit::input, path, [&] {
        for (uint64_t i = 0; i < 20; i++) batch_of(data.train, i, 1);
    });
}

TEST(data_files, fingerprints_tell_texts_apart) {
    const Temporary folder;
    std::string text = letters(1000);
    const uint64_t before = load({write(folder, "a.txt", text)}, 8).fingerprint;
    EXPECT_EQ(load({write(folder, "b.txt", text)}, 8).fingerprint, before);
    text[500] = '!';
    EXPECT_NE(load({write(folder, "a.txt", text)}, 8).fingerprint, before);
}

TEST(data_files, bad_paths_are_one_line) {
    const Temporary folder;
    const std::string base = folder.path;
    expect_failure(Exit::input, "no file matches", [&] { load({base + "/*.txt"}, 8); });
    expect_failure(Exit::input, "No such file", [&] { load({base + "/none.txt"}, 8); });
    expect_failure(Exit::input, "directory", [&] { load({base}, 8); });
    expect_failure(Exit::input, "regular", [&] { load({"/dev/zero"}, 8); });
    ASSERT_EQ(mkfifo((base + "/pipe").c_str(), 0600), 0);
    expect_failure(Exit::input, "regular", [&] { load({base + "/pipe"}, 8); });
    expect_failure(Exit::input, "empty", [&] { load({write(folder, "empty.txt", "")}, 8); });
    expect_failure(Exit::input, "empty", [&] { load({write(folder, "bom.txt", "\xEF\xBB\xBF")}, 8); });
    expect_failure(Exit::input, "UTF-16", [&] {
        load({write(folder, "wide.txt",
                    "\xFF\xFE"
                    "a")},
             8);
    });
    expect_failure(Exit::usage, "empty path", [&] { load({""}, 8); });
    expect_failure(Exit::usage, "names no file", [&] { load({}, 8); });
    expect_failure(Exit::usage, "stands alone", [&] { load({"builtin:stories", base}, 8); });
    expect_failure(Exit::usage, "no such corpus", [&] { load({"builtin:songs"}, 8); });
    const std::string brackets = write(folder, "a[1].txt", letters(100));  // a name that looks like a pattern
    EXPECT_EQ(load({brackets}, 8).files[0].path, brackets);
    if (geteuid() != 0) {
        ASSERT_EQ(chmod(brackets.c_str(), 0), 0);
        expect_failure(Exit::input, "Permission", [&] { load({brackets}, 8); });
    }
}

TEST(data_files, text_shorter_than_a_context_is_refused) {
    const Temporary folder;
    const std::string path = write(folder, "a.txt", letters(16));
    const auto all = [](DataOptions& o) { o.val_fraction = 0; };
    expect_failure(Exit::input, "16 tokens", [&] { load({path}, 16, all); });
    EXPECT_EQ(load({path}, 15, all).train.windows(), 1u);
    expect_failure(Exit::input, "14 tokens", [&] { load({path}, 15); });
    const std::string one = write(folder, "b.txt", "a");
    expect_failure(Exit::input, "single token", [&] { load({path}, 8, [&](DataOptions& o) { o.val = {one}; }); });
    const std::string shard = write(folder, "a.bin", gpt2_shard({1, 2, 3, 4}));
    expect_failure(Exit::input, "4 tokens", [&] { load({shard}, 4, all); });
    EXPECT_EQ(load({shard}, 3, all).train.windows(), 1u);
}

TEST(data_files, odd_text_is_kept_or_repaired) {
    const Temporary folder;
    const std::string kept = std::string("\xEF\xBB\xBF") + "a\r\nb" + std::string(1, '\0') +
                             "c\xFF"
                             "d\xC3";
    const Data data = load({write(folder, "a.txt", kept)}, 4,
                           [](DataOptions& o) { o.val_fraction = 0, o.kind = TokenizerKind::character; });
    std::vector<int> tokens(data.train.end);
    data.train.source->read(tokens, 0);
    EXPECT_EQ(data.tokenizer->decode(tokens), std::string("a\r\nb\0c", 6) + "\ufffdd\ufffd");
    ASSERT_EQ(data.warnings.size(), 1u);
    EXPECT_NE(data.warnings[0].find("2 pieces are not UTF-8"), std::string::npos) << data.warnings[0];
}

TEST(data_files, what_validates_should_not_have_trained) {
    const Temporary folder;
    const std::string a = write(folder, "a.txt", letters(500)), copy = write(folder, "b.txt", letters(500)),
                      other = write(folder, "c.txt", letters(400));
    const auto against = [](const std::string& val) { return [=](DataOptions& o) { o.val = {val}; }; };
    EXPECT_EQ(load({a}, 8, against(a)).warnings.size(), 1u);
    EXPECT_EQ(load({a}, 8, against(copy)).warnings.size(), 1u);
    EXPECT_EQ(load({a}, 8, against(other)).warnings.size(), 0u);
}

TEST(data_files, characters_nobody_knows_are_counted) {
    const Temporary folder;
    const std::string a = write(folder, "a.txt", letters(500)), val = write(folder, "b.txt", "abc123");
    const Data data = load({a}, 8, [&](DataOptions& o) { o.val = {val}, o.kind = TokenizerKind::character; });
    ASSERT_EQ(data.warnings.size(), 1u);
    EXPECT_NE(data.warnings[0].find("3 of 6 tokens are not in the vocabulary"), std::string::npos) << data.warnings[0];
    expect_failure(Exit::input, "256 tokens, the model's vocabulary 100",
                   [&] { load({a}, 8, [](DataOptions& o) { o.vocab = 100; }); });
}

TEST(data_files, long_texts_are_tokenised_in_parts) {
    const Temporary folder;
    for (const char* line : {"The cat sat. 我爱北京 don't\n", "aaaa", " b"}) {
        std::string text;
        while (text.size() < 5 << 20) text += line;
        const std::string path = write(folder, "a.txt", text);
        for (const TokenizerKind kind : {TokenizerKind::character, TokenizerKind::word, TokenizerKind::byte}) {
            uint64_t last = 0;
            DataOptions options;
            options.data = {path}, options.T = 2, options.kind = kind, options.val_fraction = 0;
            if (kind == TokenizerKind::word && std::string(line) == "aaaa") continue;  // one word
            const Data data = load_data(options, [&](const std::string& what, uint64_t done, uint64_t total) {
                if (what != "tokenising") return;
                EXPECT_TRUE(done > last && done <= total);
                last = done;
            });
            EXPECT_EQ(last, text.size());
            const std::vector<int> expected = data.tokenizer->encode(text);
            std::vector<int> tokens(data.train.end);
            data.train.source->read(tokens, 0);
            ASSERT_TRUE(tokens == expected) << name_of(kind) << " " << line;
        }
    }
}

TEST(data_files, shards_of_llmq) {
    const Temporary folder;
    const auto llmq = [](std::vector<int> numbers, const std::vector<int>& tokens, const std::string& after = "") {
        std::string bytes(1024, '*');
        bytes.replace(0, 8, "BIN.TOK\n");
        bytes.replace(8, 4 * numbers.size(), reinterpret_cast<const char*>(numbers.data()), 4 * numbers.size());
        bytes[1023] = '\n';
        return bytes.append(reinterpret_cast<const char*>(tokens.data()), 4 * tokens.size()) + after;
    };
    const std::vector<int> tokens{5, 151642, 7,  8,  151643,
                                  9, 10,     11, 12, 13};  // the end of text is the vocabulary's size
    const std::string path = write(folder, "train-000.bin", llmq({2, 4, 10, 151643, 0}, tokens));
    const Data data = load({path}, 3);
    EXPECT_EQ(data.vocab, 151680);
    std::vector<int> read(10);
    data.train.source->read(read, 0);
    EXPECT_EQ(read, tokens);
    EXPECT_EQ(data.train.separator, -1);
    EXPECT_EQ(load({path}, 3, [](DataOptions& o) { o.separator = 151643; }).train.separator, 151643);
    write(folder, "old.bin", llmq({1, 4, 10, 0, 0}, tokens));
    expect_failure(Exit::usage, "does not say how many tokens", [&] { load({folder.path / "old.bin"}, 3); });
    EXPECT_EQ(load({folder.path / "old.bin"}, 3, [](DataOptions& o) { o.vocab = 151936; }).vocab, 151936);

    const auto refuse = [&](const std::string& bytes, const std::string& why) {
        write(folder, "bad.bin", bytes);
        expect_failure(Exit::input, why, [&] { load({folder.path / "bad.bin"}, 3); });
    };
    refuse(llmq({3, 4, 10, 100, 0}, tokens), "version is 3");
    refuse(llmq({2, 2, 10, 100, 0}, tokens), "take 2 bytes");
    refuse(llmq({2, 4, 10, 100, 1}, tokens, "xx"), "mask");
    refuse(llmq({2, 4, 10, 100, 9}, tokens), "says 9");
    refuse(llmq({2, 4, 11, 100, 0}, tokens), "11 tokens make 1068");
    refuse(llmq({2, 4, 0, 100, 0}, {}), "0 tokens");
    refuse(llmq({2, 4, -1, 100, 0}, tokens), "-1 tokens");
    refuse("BIN.TOK\n", "8 bytes are fewer");
    write(folder, "bad.bin", llmq({2, 4, 10, 100, 0}, {1, 2, 3, 4, 5, -6, 7, 8, 9, 10}));
    expect_failure(Exit::input, "bad.bin: token 5 is 4294967290",
                   [&] { read_all(load({folder.path / "bad.bin"}, 3)); });
    write(folder, "gpt2.bin", gpt2_shard({1, 2, 3}));
    expect_failure(Exit::input, "of another kind", [&] { load({path, folder.path / "gpt2.bin"}, 3); });
}

TEST(data_files, files_without_a_header_need_a_type) {
    const Temporary folder;
    const std::vector<uint16_t> narrow{1, 2, 50256, 3, 4, 65, 7, 8, 9, 10};
    const std::string bytes(reinterpret_cast<const char*>(narrow.data()), 20), path = write(folder, "train.bin", bytes);
    const auto as = [](TokenType type) { return [=](DataOptions& o) { o.token_type = type; }; };
    const Data data = load({path}, 3, as(TokenType::uint16));
    EXPECT_EQ(data.vocab, 50257);
    EXPECT_EQ(data.train.separator, 50256);
    std::vector<int> read(10);
    data.train.source->read(read, 0);
    EXPECT_EQ(read, std::vector<int>(narrow.begin(), narrow.end()));
    expect_failure(Exit::input, "fewer than a shard's header", [&] { load({path}, 3); });
    write(folder, "long.bin", bytes + std::string(2000, 'x'));
    expect_failure(Exit::input, "--token-type uint16", [&] { load({folder.path / "long.bin"}, 3); });
    expect_failure(Exit::input, "token 0 is 131073, outside", [&] {  // two of them taken for one
        read_all(load({path}, 3, [&](DataOptions& o) { o.token_type = TokenType::uint32, o.vocab = 50257; }));
    });
    expect_failure(Exit::usage, "--vocab", [&] { load({path}, 3, as(TokenType::uint32)); });
    write(folder, "odd.bin", bytes.substr(1));
    expect_failure(Exit::input, "not a whole number of uint16",
                   [&] { load({folder.path / "odd.bin"}, 3, as(TokenType::uint16)); });
    write(folder, "empty.bin", "");
    expect_failure(Exit::input, "is empty", [&] { load({folder.path / "empty.bin"}, 3, as(TokenType::uint16)); });
    const std::string shard = write(folder, "gpt2.bin", gpt2_shard({1, 2, 3, 4, 5, 6, 7, 8}));  // a header is believed
    EXPECT_EQ(load({shard}, 3, as(TokenType::uint32)).train.source->size(), 8u);
    std::string weights = gpt2_shard({1, 2, 3});
    weights.replace(0, 4, "\xC6\xD7\x34\x01");
    write(folder, "weights.bin", weights);
    expect_failure(Exit::input, "a model's weights", [&] { load({folder.path / "weights.bin"}, 3); });
}
