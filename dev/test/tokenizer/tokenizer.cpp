// Tokenizers: what they promise of any text, and what they share with Hugging Face's library.
#include "host/tokenizer/tokenizer.h"
#include <gtest/gtest.h>
#include "host/base/error.h"
#include "host/base/utf8.h"
#include "host/reference/philox.h"
#include "host/tokenizer/tokenizer_json.h"

namespace {

constexpr TokenizerKind kinds[] = {TokenizerKind::character, TokenizerKind::word, TokenizerKind::byte};

// Every script and corner word_length knows of, in random order.
std::string random_text(uint64_t seed, int pieces) {
    const std::string_view some[] = {"a",
                                     "Z",
                                     "don't",
                                     "it’s",
                                     "'",
                                     "’",
                                     " ",
                                     "  ",
                                     "\n",
                                     "\r\n",
                                     "\t",
                                     "7",
                                     "42",
                                     "½",
                                     "Ⅷ",
                                     "我",
                                     "爱北京",
                                     "。",
                                     "カ",
                                     "ー",
                                     "한국어",
                                     "ไทย",
                                     "हिन्दी",
                                     "café",
                                     "cafe\u0301",
                                     "😀",
                                     "👩‍👧",
                                     "<unk>",
                                     "\ufffd",
                                     "\u00a0",
                                     "\u3000",
                                     "\u200b",
                                     "<|endoftext|>",
                                     "\\",
                                     "\"",
                                     "-",
                                     "O'Neil's",
                                     std::string_view("\0", 1),
                                     "x y",
                                     "\U0002000B"};
    std::string text;
    for (int i = 0; i < pieces; i++) text += some[philox({{uint32_t(i), 0, 0, 0}}, seed).w[0] % std::size(some)];
    return text;
}

Exit code_of(const std::function<void()>& act) {
    try {
        act();
    } catch (const Error& e) {
        EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos) << e.what();
        return e.code;
    }
    return Exit::done;
}

}  // namespace

TEST(tokenizer, decodes_what_it_encoded) {
    for (const TokenizerKind kind : kinds)
        for (uint64_t seed = 0; seed < 40; seed++) {
            const std::string text = random_text(seed, 300);
            const Tokenizer tokenizer = train_tokenizer(kind, text);
            const std::vector<int> ids = tokenizer.encode(text);
            ASSERT_EQ(tokenizer.decode(ids), text) << name_of(kind) << " seed " << seed;
            for (const int id : ids) ASSERT_TRUE(id >= 0 && id < tokenizer.vocab_size());
        }
}

TEST(tokenizer, characters_are_sorted_code_points) {
    const Tokenizer tokenizer = train_tokenizer(TokenizerKind::character, "baé爱😀ab");
    const std::vector<std::string> expected = {"a", "b", "é", "爱", "\ufffd", "😀"};
    EXPECT_EQ(tokenizer.tokens, expected);
    EXPECT_EQ(tokenizer.encode("爱b"), (std::vector<int>{3, 1}));
    EXPECT_EQ(tokenizer.encode("北"), (std::vector<int>{tokenizer.unknown}));
    EXPECT_EQ(tokenizer.unknown, 4);
}

TEST(tokenizer, words) {
    struct {
        const char* text;
        std::vector<std::string> words;
    } rows[] = {
        {"The cat  sat.\n", {"The", " cat", " ", " sat", ".", "\n"}},
        {"don't 'quote' rock’n’roll", {"don't", " '", "quote", "'", " rock’n’roll"}},
        {"3.14 in 1999", {"3", ".", "1", "4", " in", " 1", "9", "9", "9"}},
        {"我爱 北京abc中", {"我", "爱", " ", "北", "京", "abc", "中"}},
        {"a' 'b a'中", {"a", "'", " '", "b", " a", "'", "中"}},
        {" \t x", {" ", "\t", " x"}},
    };
    for (const auto& row : rows) {
        std::vector<std::string> words;
        std::string_view text = row.text;
        for (size_t n; !text.empty(); text.remove_prefix(n)) words.emplace_back(text.substr(0, n = word_length(text)));
        EXPECT_EQ(words, row.words) << row.text;
    }
}

TEST(tokenizer, keeps_the_most_frequent_words) {
    const Tokenizer tokenizer = train_tokenizer(TokenizerKind::word, "c\nc\nb\nc\nb\na\na\n", 3);
    EXPECT_EQ(tokenizer.tokens, (std::vector<std::string>{"<unk>", "\n", "c", "a"}));  // a before b: equally frequent
    EXPECT_EQ(tokenizer.encode("a\nb"), (std::vector<int>{3, 1, 0}));
}

TEST(tokenizer, parts_cut_safely_encode_as_the_whole) {
    for (const TokenizerKind kind : kinds)
        for (uint64_t seed = 0; seed < 20; seed++) {
            const std::string text = random_text(seed, 200);
            const Tokenizer tokenizer = train_tokenizer(kind, text);
            const std::vector<int> whole = tokenizer.encode(text);
            for (size_t near = 1; near < text.size(); near += 7) {
                const size_t cut = tokenizer.safe_cut(text, near);
                ASSERT_GE(cut, near);
                std::vector<int> parts = tokenizer.encode(std::string_view(text).substr(0, cut));
                const std::vector<int> rest = tokenizer.encode(std::string_view(text).substr(cut));
                parts.insert(parts.end(), rest.begin(), rest.end());
                ASSERT_EQ(parts, whole) << name_of(kind) << " seed " << seed << " cut at " << cut;
            }
        }
}

TEST(tokenizer, survives_its_file) {
    for (const TokenizerKind kind : kinds) {
        const Tokenizer tokenizer = train_tokenizer(kind, random_text(1, 500));
        const Tokenizer again = tokenizer_from_json(tokenizer_json(tokenizer), "test");
        EXPECT_EQ(again.kind, kind);
        EXPECT_EQ(again.tokens, tokenizer.tokens);
        EXPECT_EQ(again.unknown, tokenizer.unknown);
        EXPECT_EQ(again.hash(), tokenizer.hash());
        EXPECT_EQ(again.encode(random_text(2, 500)), tokenizer.encode(random_text(2, 500)));
    }
}

TEST(tokenizer, hash_tells_tokenizers_apart) {
    std::vector<uint64_t> hashes;
    for (const TokenizerKind kind : kinds)
        for (const char* text : {"ab", "abc", "a b c"}) hashes.push_back(train_tokenizer(kind, text).hash());
    std::sort(hashes.begin(), hashes.end());
    EXPECT_EQ(std::unique(hashes.begin(), hashes.end()) - hashes.begin(), 7);  // bytes know no text
    Tokenizer tokenizer = train_tokenizer(TokenizerKind::character, "ab");
    const uint64_t before = tokenizer.hash();
    tokenizer.kind = TokenizerKind::word;
    EXPECT_NE(tokenizer.hash(), before);
}

TEST(tokenizer, refuses_other_files) {
    const std::string good = tokenizer_json(train_tokenizer(TokenizerKind::character, "abc"));
    const auto with = [&](const std::string& from, const std::string& to) {
        std::string text = good;
        EXPECT_NE(text.find(from), text.npos) << from;
        return text.replace(text.find(from), from.size(), to);
    };
    for (const std::string& bad :
         {std::string(), std::string("[]"), std::string("{"), std::string("{\"model\":1}"), std::string(100000, '['),
          std::string("{\"model\":{\"vocab\":{}}}"), std::string("{\"model\":{\"vocab\":{},\"merges\":[]}}"),
          good.substr(0, good.size() / 2), with("\"b\": 1", "\"b\": 7"), with("\"b\": 1", "\"b\": 0"),
          with("\"b\": 1", "\"b\": -1"), with("\"b\": 1", "\"b\": 1.5"), with("\"b\": 1", "\"bb\": 1"),
          with("\"merges\": []", "\"merges\": [\"a b\"]"),
          with("\"normalizer\": null", "\"normalizer\": {\"type\": \"NFC\"}"),
          with("\"version\": \"1.0\"", "\"version\": \"2.0\""),
          with("\"unk_token\": \"\ufffd\"", "\"unk_token\": \"z\""),
          with("\"unk_token\": \"\ufffd\"", "\"unk_token\": null")})
        EXPECT_EQ(code_of([&] { tokenizer_from_json(bad, "bad.json"); }), Exit::input) << bad.substr(0, 200);
    EXPECT_EQ(code_of([&] { tokenizer_from_json(good, "good.json"); }), Exit::done);
}

// A word that takes the id of another: no id is out of range, one is missing.
TEST(tokenizer, refuses_two_words_with_one_id) {
    const std::string good = tokenizer_json(train_tokenizer(TokenizerKind::word, "xyz abc"));
    const std::string from = "\" abc\": 1", to = "\" abc\": 2";
    ASSERT_NE(good.find(from), std::string::npos) << good;
    ASSERT_NE(good.find("\"xyz\": 2"), std::string::npos) << good;
    std::string bad = good;
    bad.replace(bad.find(from), from.size(), to);
    EXPECT_EQ(code_of([&] { tokenizer_from_json(bad, "bad.json"); }), Exit::input);
}

TEST(tokenizer, streams_whole_characters_only) {
    const std::string text = "aé爱😀b";
    const Tokenizer bytes = byte_tokenizer();
    StreamDecoder decoder{bytes};
    std::string out;
    for (const int id : bytes.encode(text)) {
        const std::string piece = decoder.push(id);
        std::string copy = piece;
        EXPECT_EQ(repair_utf8(copy), 0u) << "half a character";
        out += piece;
    }
    EXPECT_EQ(out + decoder.flush(), text);
    decoder.push(0xE7);
    EXPECT_EQ(decoder.push('x'), "\ufffdx");  // what can no longer become a character does not wait
    decoder.push(0xF0);
    EXPECT_EQ(decoder.flush(), "\ufffd");
}

TEST(tokenizer, shows_tokens_to_people) {
    const Tokenizer bytes = byte_tokenizer();
    EXPECT_EQ(bytes.token_text('\n'), "\\n");
    EXPECT_EQ(bytes.token_text(0xE4), "\\xE4");
    EXPECT_EQ(bytes.token_text('a'), "a");
    EXPECT_EQ(bytes.token_text(256), "?");
}

// Expected values: Python's bytes.decode("utf-8", "replace").
TEST(tokenizer, repairs_utf8_as_python_does) {
    struct {
        std::string broken, whole;
        size_t count;
    } rows[] = {
        {"abc é爱😀", "abc é爱😀", 0},
        {"a\xFF"
         "b",
         "a\ufffd"
         "b",
         1},
        {"\xC0\xAF", "\ufffd\ufffd", 2},            // overlong
        {"\xED\xA0\x80", "\ufffd\ufffd\ufffd", 3},  // a surrogate
        {"\xE7\x88", "\ufffd", 1},                  // cut off
        {"\xF0\x9F\x98x", "\ufffdx", 1},
        {"\xF4\x90\x80\x80", "\ufffd\ufffd\ufffd\ufffd", 4},  // beyond U+10FFFF
        {"\xE0\x80\x80", "\ufffd\ufffd\ufffd", 3},
        {"\x80\x80", "\ufffd\ufffd", 2},
        {std::string("a\0b\r\n", 5), std::string("a\0b\r\n", 5), 0},
    };
    for (const auto& row : rows) {
        std::string text = row.broken;
        EXPECT_EQ(repair_utf8(text), row.count) << row.whole;
        EXPECT_EQ(text, row.whole);
    }
}

TEST(tokenizer, waits_for_the_end_of_a_character) {
    struct {
        const char* text;
        size_t complete;
    } rows[] = {{"", 0},     {"a", 1},        {"é", 2},       {"a\xC3", 1}, {"爱\xE7\x88", 3}, {"\xF0\x9F\x98", 0},
                {"\xFF", 1}, {"\x80\x80", 2}, {"\xE0\x80", 2}};
    for (const auto& row : rows) EXPECT_EQ(complete_utf8(row.text), row.complete) << row.text;
}
