// Byte-level BPE: the same ids as tokenizers and tiktoken, however long the text and wherever it is cut.
#include <algorithm>
#include "bpe_case.h"
#include "host/base/utf8.h"
#include "host/reference/philox.h"
#include "host/tokenizer/bpe_files.h"
#include "host/tokenizer/bpe_train.h"
#include "host/tokenizer/load_tokenizer.h"
#include "host/tokenizer/tokenizer_json.h"

std::string hostile_text(uint64_t seed, int pieces) {
    const std::string_view some[] = {"a",
                                     "Z",
                                     "the ",
                                     "'s",
                                     "'LL",
                                     "'ſ",
                                     "’",
                                     " ",
                                     "  ",
                                     "\n",
                                     "\r\n",
                                     "\t",
                                     "\u00a0",
                                     "\u3000",
                                     "\u2028",
                                     "7",
                                     "12345",
                                     "½",
                                     "٣",
                                     "日本",
                                     "각",
                                     "\u1100\u1161",
                                     "\u11a8",
                                     "é",
                                     "e\u0301\u0323",
                                     "\u0344",
                                     "\u0345",
                                     "😀",
                                     "...",
                                     "!?",
                                     "_",
                                     "<|endoftext|>",
                                     "<l>",
                                     "<r>",
                                     "<w>",
                                     "<né>",
                                     "xxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
                                     std::string_view("\0", 1)};
    std::string text;
    for (int i = 0; i < pieces; i++) text += some[philox({{uint32_t(i), 1, 0, 0}}, seed).w[0] % std::size(some)];
    return text;
}

namespace {

std::vector<int> with_template(const Tokenizer& tokenizer, const std::string& text) {
    std::vector<int> ids = tokenizer.bpe->before;
    tokenizer.bpe->encode(ids, text, Specials::recognised);
    ids.insert(ids.end(), tokenizer.bpe->after.begin(), tokenizer.bpe->after.end());
    return ids;
}

Tokenizer tokenizer_of(const nlohmann::json& row) { return tokenizer_from_json(row["file"].dump(), row["name"]); }

// Merges as they are defined: again and again the lowest rank, of these the leftmost.
std::vector<int> slow_merges(std::vector<int> tokens, const MergeTable& table) {
    for (;;) {
        size_t best = 0;
        Merge merge;
        for (size_t i = 0; i + 1 < tokens.size(); i++)
            if (const Merge m = table.find(tokens[i], tokens[i + 1]); m.rank < merge.rank) merge = m, best = i;
        if (merge.rank == ~0u) return tokens;
        tokens[best] = merge.token;
        tokens.erase(tokens.begin() + std::ptrdiff_t(best) + 1);
    }
}

// What the library decodes, but for its added tokens of letters that stand for bytes, which it makes bytes of.
std::string as_it_was_written(std::string decoded, const Tokenizer& tokenizer) {
    for (const AddedToken& token : tokenizer.bpe->added) {
        std::string theirs = bytes_of_symbols(token.content);
        repair_utf8(theirs);
        if (theirs == token.content) continue;
        for (size_t at = 0; (at = decoded.find(theirs, at)) != decoded.npos; at += token.content.size())
            decoded.replace(at, theirs.size(), token.content);
    }
    return decoded;
}

}  // namespace

TEST(bpe, encodes_as_the_library_does) {
    const auto& texts = tokenizing_goldens()["texts"];
    for (const auto& row : tokenizing_goldens()["cases"]) {
        const Tokenizer tokenizer = tokenizer_of(row);
        for (size_t i = 0; i < texts.size(); i++) {
            const std::string text = texts[i];
            EXPECT_EQ(with_template(tokenizer, text), row["full"][i].get<std::vector<int>>())
                << row["name"] << ": " << texts[i];
            EXPECT_EQ(tokenizer.encode(text), row["data"][i].get<std::vector<int>>())
                << row["name"] << ", as data: " << texts[i];
            std::string decoded = tokenizer.decode(row["full"][i].get<std::vector<int>>());
            repair_utf8(decoded);
            EXPECT_EQ(decoded, as_it_was_written(row["decoded"][i], tokenizer)) << row["name"];
        }
    }
}

TEST(bpe, encodes_as_tiktoken_does) {
    const auto& texts = tokenizing_goldens()["texts"];
    for (const auto& [name, rule] : {std::pair("tiktoken", SplitRule::cl100k), {"tiktoken_o200k", SplitRule::o200k}}) {
        const auto& golden = tokenizing_goldens()[name];
        const Tokenizer tokenizer = bpe_from_tiktoken(golden["file"].get<std::string>(), "case", rule);
        const Tokenizer again = tokenizer_from_json(tokenizer_json(tokenizer), "again");
        EXPECT_EQ(again.hash(), tokenizer.hash());
        for (size_t i = 0; i < texts.size(); i++) {
            const std::string text = texts[i];
            EXPECT_EQ(tokenizer.encode(text), golden["data"][i].get<std::vector<int>>()) << name << ": " << texts[i];
            EXPECT_EQ(again.encode(text), golden["data"][i].get<std::vector<int>>()) << "saved and read: " << texts[i];
            EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
        }
    }
}

TEST(bpe, parts_cut_safely_encode_as_the_whole) {
    std::vector<Tokenizer> tokenizers;
    for (const auto& row : tokenizing_goldens()["cases"]) tokenizers.push_back(tokenizer_of(row));
    for (int rule = 0; SplitRule(rule) != SplitRule::none; rule++) {
        const SplitRule split = SplitRule(rule);
        PieceCounts counts;  // with tokens for all that stands in such texts, white space too
        for (std::string text = hostile_text(99, 5000); !text.empty(); text.erase(0, 40))
            count_pieces(counts, text.substr(0, 40), split);
        tokenizers.push_back(train_bpe({1500, 0, split, {"<|endoftext|>"}}, counts));
    }
    for (const Tokenizer& tokenizer : tokenizers) {
        size_t cuts = 0;
        for (uint64_t seed = 0; seed < 20; seed++) {
            const std::string text = hostile_text(seed, 300);
            const std::vector<int> whole = tokenizer.encode(text);
            for (size_t near = 1; near < text.size(); near += 11) {
                const size_t cut = tokenizer.safe_cut(text, near);
                ASSERT_GE(cut, near);
                cuts += cut < text.size();
                std::vector<int> parts = tokenizer.encode(std::string_view(text).substr(0, cut));
                const std::vector<int> rest = tokenizer.encode(std::string_view(text).substr(cut));
                parts.insert(parts.end(), rest.begin(), rest.end());
                ASSERT_EQ(parts, whole) << name_of(tokenizer.bpe->split) << " seed " << seed << " cut at " << cut;
            }
        }
        const auto& added = tokenizer.bpe->added;
        const bool can = std::none_of(added.begin(), added.end(), [](const AddedToken& t) { return t.rstrip; });
        EXPECT_EQ(cuts > 100, can) << name_of(tokenizer.bpe->split);
    }
}

// What stands in a special token is not looked at again, also where that is text.
TEST(bpe, added_tokens_within_special_ones) {
    std::vector<AddedToken> tokens(2);
    tokens[0].content = "<ab>", tokens[0].id = 1, tokens[0].special = true;
    tokens[1].content = "b>", tokens[1].id = 2;
    const AddedTokenFinder finder(tokens, false, {"<ab>", "b>"});
    const auto found = [&](std::string_view text, Specials specials) {
        std::vector<int> ids;
        for (const Span& span : finder.split(text, specials)) ids.push_back(span.id);
        return ids;
    };
    EXPECT_EQ(found("x<ab>b>", Specials::recognised), (std::vector<int>{-1, 1, 2}));
    EXPECT_EQ(found("x<ab>b>", Specials::as_text), (std::vector<int>{-1, 2}));
}

// The library's decoder would make a byte of every letter of an added token that stands for one.
TEST(bpe, added_tokens_stand_for_their_own_letters) {
    nlohmann::json file = golden_case("gpt2")["file"];
    int id = int(file["model"]["vocab"].size());
    const std::vector<std::string> contents{"naïve", "Ġqqq", "Ü|", "§½", "<né>"};
    for (const std::string& content : contents)
        for (auto& list = file["added_tokens"]; list.size() <= size_t(id) && list.back()["content"] != content;)
            list.push_back({{"id", id++}, {"content", content}, {"special", content == "Ü|"}});
    const Tokenizer tokenizer = tokenizer_from_json(file.dump(), "added");
    for (const std::string& content : contents)
        for (const std::string& text : {content, "a " + content + content + " b", "é" + content}) {
            const std::vector<int> ids = tokenizer.encode(text, Specials::recognised);
            EXPECT_EQ(tokenizer.decode(ids), text);
            EXPECT_TRUE(std::find(ids.begin(), ids.end(), tokenizer.bpe->find(content)) != ids.end()) << text;
        }
    EXPECT_EQ(tokenizer.decode(tokenizer.encode("a cat é")), "a cat é");
}

TEST(bpe, long_pieces_merge_as_short_ones_do) {
    MergeTable table;
    table.reserve(40);
    for (int i = 0; i < 40; i++) {
        const Words random = philox({{uint32_t(i), 2, 0, 0}}, 7);
        table.insert(int(random.w[0] % 12), int(random.w[1] % 12), {uint32_t(i % 25), int(random.w[2] % 9) + 3});
    }
    for (uint32_t seed = 0; seed < 300; seed++) {
        const uint32_t n = seed % 200 + 1;
        std::vector<int> tokens;
        for (uint32_t i = 0; i < n; i++) tokens.push_back(int(philox({{i, seed, 0, 0}}, 3).w[0] % 3));
        const std::vector<int> expected = slow_merges(tokens, table);
        std::vector<int> out;
        merge_piece(out, tokens, table);
        ASSERT_EQ(out, expected) << n << " tokens, seed " << seed;
    }
}

// A quadratic algorithm would not end within a test's patience.
TEST(bpe, a_million_letters_without_a_break) {
    const Tokenizer tokenizer = tokenizer_of(golden_case("gpt2"));
    for (const char* unit : {"a", "ab", "the", " ", "1", "!", "日"}) {
        std::string text;
        while (text.size() < 1000000) text += unit;
        EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text) << unit;
    }
}

TEST(bpe, threads_encode_alike) {
    const Tokenizer tokenizer = tokenizer_of(golden_case("llama3"));
    std::vector<std::string> texts;
    std::vector<std::vector<int>> expected, ids(100);
    for (uint64_t seed = 0; seed < 100; seed++) texts.push_back(hostile_text(seed % 50, 200));
    for (const std::string& text : texts) expected.push_back(tokenizer_of(golden_case("llama3")).encode(text));
#pragma omp parallel for num_threads(4)
    for (size_t i = 0; i < texts.size(); i++) ids[i] = tokenizer.encode(texts[i]);
    for (size_t i = 0; i < texts.size(); i++) EXPECT_EQ(ids[i], expected[i]);
}

TEST(bpe, streams_whole_characters_only) {
    const Tokenizer tokenizer = tokenizer_of(golden_case("gpt2"));
    const std::string text = "naïve 日本 😀 e\u0301 각";
    StreamDecoder decoder{tokenizer};
    std::string out;
    for (const int id : tokenizer.encode(text)) {
        std::string piece = decoder.push(id);
        out += piece;
        EXPECT_EQ(repair_utf8(piece), 0u) << "half a character";
    }
    EXPECT_EQ(out + decoder.flush(), text);
}

// Ids of the published vocabulary: the first lines of what tiktoken and the library give for GPT-2.
TEST(bpe, gpt2s_own_vocabulary) {
    const char* folder = std::getenv("GPT_TEST_DATA");
    if (!folder) GTEST_SKIP() << "GPT_TEST_DATA names no folder";
    const Tokenizer tokenizer = load_tokenizer(std::string(folder) + "/gpt2");
    EXPECT_EQ(tokenizer.vocab_size(), 50257);
    EXPECT_EQ(tokenizer.separator(), 50256);
    EXPECT_EQ(tokenizer.encode("naïve café 😀 日本語"),
              (std::vector<int>{2616, 38776, 40304, 30325, 222, 10545, 245, 98, 17312, 105, 45739, 252}));
    EXPECT_EQ(tokenizer.encode("I'll go; DON'T shout"), (std::vector<int>{40, 1183, 467, 26, 23917, 6, 51, 9191}));
    EXPECT_EQ(tokenizer.encode("<|endoftext|>"), (std::vector<int>{27, 91, 437, 1659, 5239, 91, 29}));
    EXPECT_EQ(tokenizer.encode("a<|endoftext|>", Specials::recognised), (std::vector<int>{64, 50256}));
    const std::string text = files::read_file(std::string(folder) + "/tinyshakespeare.txt", 1 << 24);
    EXPECT_EQ(tokenizer.encode(text).size(), 338025u);
    EXPECT_EQ(tokenizer_from_json(tokenizer_json(tokenizer), "saved").hash(), tokenizer.hash());
}
