// Texts as they lie around: named twice, as JSON lines, and what is no text at all.
#include <sys/stat.h>
#include <unistd.h>
#include <filesystem>
#include "dataset_case.h"
#include "dev/test/support/text_search.h"
#include "host/base/json.h"
#include "host/data/data_paths.h"
#include "host/data/documents.h"
#include "host/tokenizer/bpe_train.h"

namespace {

std::vector<int> all_tokens(const Data& data) {
    std::vector<int> tokens(data.train.source->size());
    data.train.source->read(tokens, 0);
    return tokens;
}

std::string utf16(const std::string& ascii, bool little) {
    std::string text;
    for (const char c : ascii) text += little ? std::string{c, '\0'} : std::string{'\0', c};
    return text;
}

}  // namespace

TEST(text_files, named_twice_are_read_once) {
    const Temporary folder;
    const std::string a = write(folder, "a.txt", letters(400)), b = write(folder, "b.txt", letters(300));
    std::filesystem::create_symlink(a, folder / "link.txt");
    std::filesystem::create_hard_link(a, folder / "same.txt");
    const auto none = [](DataOptions& o) { o.val_fraction = 0; };
    const std::vector<int> once = all_tokens(load({a, b}, 16, none));
    for (const std::vector<std::string>& paths : {std::vector<std::string>{a, b, a},
                                                  {a, b, folder / "./a.txt"},
                                                  {a, folder / "*.txt"},
                                                  {a, b, folder / "link.txt"},
                                                  {a, b, folder / "same.txt"},
                                                  {a, folder / "[ab].txt", folder / "?.txt"}}) {
        const Data data = load(paths, 16, none);
        EXPECT_EQ(all_tokens(data), once) << paths.back();
        ASSERT_FALSE(data.warnings.empty());
        EXPECT_NE(data.warnings[0].find("is the same file as " + a + ", and read once"), std::string::npos)
            << data.warnings[0];
        EXPECT_EQ(expand_paths("--data", paths).size(), 2u);
    }
    std::filesystem::copy_file(a, folder / "copy");  // another file, whatever is in it
    EXPECT_EQ(expand_paths("--data", {a, folder / "copy"}).size(), 2u);
}

TEST(text_files, what_is_no_text_is_called_by_its_name) {
    const Temporary folder;
    const std::string filler(600, 'x');
    std::string tar(512, '\0');
    tar.replace(0, 5, "a.txt").replace(257, 5, "ustar");
    const struct {
        std::string bytes;
        const char* says;
    } rows[] = {{"\x1F\x8B\x08" + filler, "gzip"},
                {"\x28\xB5\x2F\xFD" + filler, "zstd"},
                {std::string("\xFD\x37zXZ\0", 6) + filler, "xz"},
                {"BZh9" + filler, "bzip2"},
                {"PK\x03\x04" + filler, "zip"},
                {tar + filler, "tar archive"},
                {"PAR1" + filler, "Parquet"},
                {"%PDF-1.7\n" + filler, "PDF"},
                {std::string("SQLite format 3\0", 16) + filler, "SQLite"},
                {"\x93NUMPY\x01" + filler, "NumPy"},
                {"GGUF" + filler, "--model"},
                {std::string("\x40\0\0\0\0\0\0\0", 8) + "{\"a\":" + filler, "--model"},
                {"\x89PNG\r\n\x1A\n" + filler, "picture"},
                {utf16("Once upon a time there was a cat.\n", true), "iconv -f UTF-16LE -t UTF-8"},
                {utf16("Once upon a time there was a cat.\n", false), "iconv -f UTF-16BE -t UTF-8"},
                {std::string(500, '\0'), "zero"},
                {filler + std::string(400, '\0') + filler, "zero"},
                {std::string(300, '\xCF') + " " + std::string(300, '\xE2'), "is not UTF-8"}};
    for (const auto& row : rows) {
        const std::string text = write(folder, "a.txt", row.bytes), lines = write(folder, "a.jsonl", row.bytes);
        for (const std::string& path : {text, lines}) {
            expect_failure(Exit::input, row.says, [&] { load({path}, 8); });
            expect_failure(Exit::input, row.says, [&] {
                DocumentReader({path}, {}, [](auto text, auto) { return text.size(); }).read(1 << 20);
            });
        }
    }
    // A few odd bytes, and what only looks a little like it, are text.
    for (const std::string& fine :
         {filler + std::string(3, '\0') + filler, "caf\xE9 " + filler, "PK " + filler, "%PDF is a format " + filler,
          std::string("猫は座った。") + filler, "{\"a\": 1}\n" + filler}) {
        const std::string path = write(folder, "fine.txt", fine);
        load({path}, 8);
    }
}

// Every kind of line that has no text: refused with file, line, reason and a way out, or left out and counted.
TEST(text_files, bad_lines) {
    const Temporary folder;
    const struct {
        std::string line, says;
    } bad[] = {{"{\"text\": null}", "\"text\" is null, not text"},
               {"{\"text\": 7}", "\"text\" is number, not text"},
               {"{\"text\": \"a\\ud800b\"}", "half a surrogate pair"},
               {"{\"text\": \"a\\udc00b\"}", "half a surrogate pair"},
               {"{\"text\": \"caf\xE9\"}", "not valid JSON"},
               {"[\"text\"]", "is not a JSON object"},
               {"\"text\"", "is not a JSON object"},
               {"{\"id\": 1}", "has no \"text\""},
               {"{\"text\": \"cut", "it ends in the middle"},
               {"{\"text\": \"cut\"", "it ends in the middle"}};
    const auto skip = [](DataOptions& o) { o.val_fraction = 0, o.reading.bad = BadLines::skipped; };
    std::string all;
    for (const auto& [line, says] : bad) {
        const std::string path = write(folder, "a.jsonl", "{\"text\": \"one\"}\n\n" + line + "\n");
        expect_failure(Exit::input, "a.jsonl: line 3: ", [&] { load({path}, 2); });
        expect_failure(Exit::input, says, [&] { load({path}, 2); });
        expect_failure(Exit::input, "; --skip-bad-lines", [&] { load({path}, 2); });
        const Data data = load({path}, 2, skip);
        EXPECT_EQ(data.tokenizer->decode(all_tokens(data)), "one\n");
        ASSERT_EQ(data.warnings.size(), 1u);
        EXPECT_TRUE(has(data.warnings[0], "--data: 1 bad line was skipped: ") &&
                    has(data.warnings[0], "a.jsonl: line 3: ") && has(data.warnings[0], says))
            << data.warnings[0];
        all += line + "\n{\"text\": \"x\"}\n";
    }
    const std::string mixed = write(folder, "b.jsonl", all);
    const Data data = load({mixed}, 2, skip);
    EXPECT_TRUE(has(data.warnings.at(0), "10 bad lines were skipped; the first: ")) << data.warnings.at(0);
    const std::string none = write(folder, "c.jsonl", "{\"id\": 1}\n{\"id\": 2}\n");
    expect_failure(Exit::input, "c.jsonl: none of the 2 lines can be used; ", [&] { load({none}, 2, skip); });
}

// Training reads JSON lines as `tokenize` and `eval` do, and a token stands before every document where there is one.
TEST(text_files, json_lines_train_as_they_tokenize) {
    const Temporary folder;
    const std::vector<std::string> documents{"Once upon", "", " a time\nthere was ", "a cat. 猫"};
    std::string lines;
    for (const std::string& d : documents) lines += nlohmann::json{{"id", 1}, {"story", d}}.dump() + "\n\n";
    const std::string path = write(folder, "a.jsonl", lines);
    const auto how = [](DataOptions& o) { o.val_fraction = 0, o.reading.field = "story"; };
    const Data bytes = load({path}, 4, how);
    EXPECT_EQ(bytes.tokenizer->decode(all_tokens(bytes)), "Once upon\n\n a time\nthere was \na cat. 猫\n");

    PieceCounts counts;
    count_pieces(counts, "Once upon a time there was a cat. ", SplitRule::gpt2);
    const Tokenizer bpe = train_bpe({270, 0, SplitRule::gpt2, {"<|endoftext|>"}}, counts);
    const Data data = load({path}, 4, [&](DataOptions& o) { how(o), o.tokenizer = bpe; });
    std::vector<int> expected;
    for (const std::string& d : documents) {
        expected.push_back(bpe.separator());
        const std::vector<int> ids = bpe.encode(d);
        expected.insert(expected.end(), ids.begin(), ids.end());
    }
    EXPECT_EQ(all_tokens(data), expected);
    EXPECT_EQ(data.train.separator, bpe.separator());

    const Data raw = load({path}, 4, [](DataOptions& o) { o.val_fraction = 0, o.reading.format = TextFormat::text; });
    EXPECT_EQ(raw.tokenizer->decode(all_tokens(raw)), lines);
    expect_failure(Exit::input, "line 1: has no \"text\"", [&] { load({path}, 4); });
    const std::string broken = write(folder, "b.jsonl", "{\"text\": \"one\"}\n{\"text\": \"tw");
    expect_failure(Exit::input, "b.jsonl: line 2", [&] { load({broken}, 2); });
    // A text beside JSON lines is a document too.
    const std::string text = write(folder, "c.txt", "plain text");
    const Data both = load({text, path}, 4, [&](DataOptions& o) { how(o), o.tokenizer = bpe; });
    std::vector<int> more{bpe.separator()};
    for (const int id : bpe.encode("plain text")) more.push_back(id);
    more.insert(more.end(), expected.begin(), expected.end());
    EXPECT_EQ(all_tokens(both), more);
}
