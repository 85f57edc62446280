// Unicode: classes, normalization form C, and the pieces that the published patterns cut.
#include "host/tokenizer/unicode/unicode.h"
#include <gtest/gtest.h>
#include "host/base/utf8.h"
#include "host/tokenizer/pre_tokenizer.h"

using unicode::Class;

TEST(unicode, classes_are_those_of_unicode_16) {
    struct {
        char32_t c;
        Class what;
        bool word;
    } rows[] = {
        {'a', Class::letter, true},     {'7', Class::number, true},     {' ', Class::space, false},
        {'_', Class::other, true},      {0xBD, Class::number, false},   {0x301, Class::mark, true},
        {0x180E, Class::other, false},  {0x85, Class::space, false},    {0x200B, Class::other, false},
        {0x3000, Class::space, false},  {0x558, Class::other, false},  // unassigned until 16
        {0x10D50, Class::letter, true}, {0x16D40, Class::letter, true}, {0x10D40, Class::number, true},  // of 16
        {0x1E4D0, Class::letter, true}, {0x31350, Class::letter, true}, {0xA7CB, Class::letter, true},   // of 15 and 16
        {0x24B6, Class::other, true},   {0x200D, Class::other, true},   {0x10FFFF, Class::other, false}};
    for (const auto& row : rows) {
        EXPECT_EQ(int(unicode::class_of(row.c)), int(row.what)) << std::hex << uint32_t(row.c);
        EXPECT_EQ(unicode::is_word(row.c), row.word) << std::hex << uint32_t(row.c);
    }
}

TEST(unicode, capitals_small_letters_and_digits) {
    struct {
        char32_t c;
        int bits;
    } rows[] = {{'A', unicode::capital_bit},
                {0x1C5, unicode::capital_bit},  // ǅ is a title letter
                {'z', unicode::small_bit},
                {0xDF, unicode::small_bit},
                {0xAA, 0},  // ª is of Lo
                {0x2B0, 0},
                {0x65E5, 0},
                {0x301, 0},
                {'7', unicode::digit_bit},
                {0xBD, unicode::digit_bit},
                {0x3007, unicode::digit_bit},
                {0x11DE0, unicode::digit_bit},
                {0x16FF6, unicode::digit_bit},
                {0x4E00, 0}};  // of Unicode 17
    for (const auto& row : rows)
        EXPECT_EQ(unicode::properties()[row.c] & (unicode::capital_bit | unicode::small_bit | unicode::digit_bit),
                  row.bits)
            << std::hex << uint32_t(row.c);
    EXPECT_EQ(int(unicode::class_of(0x11DE0)), int(Class::other));
}

// Expected values: tokenizers' NFC, which is Unicode's but for what came after version 12.
TEST(unicode, normalization_form_c) {
    struct {
        const char *text, *normal;
    } rows[] = {{"", ""},
                {"abc é", "abc é"},
                {"e\u0301", "é"},
                {"e\u0323\u0301", "ẹ́"},
                {"e\u0301\u0323", "ẹ́"},
                {"q\u0307\u0323", "q\u0323\u0307"},
                {"\u212b", "Å"},
                {"\u2126", "Ω"},
                {"\u0958", "क\u093c"},
                {"\u0344", "\u0308\u0301"},
                {"\u013c\u0345\u0344", "\u013c\u0308\u0301\u0345"},
                {"\u1100\u1161", "가"},
                {"\u1100\u1161\u11a8", "각"},
                {"가\u11a8", "각"},
                {"각\u11a8", "각\u11a8"},
                {"\u1100x\u1161", "\u1100x\u1161"},
                {"\uf900", "豈"},
                {"\U0002f800", "丽"},
                {"\u0301e", "\u0301e"},
                {"a\u0315\u0300\u05ae\u0300b", "à\u05ae\u0300\u0315b"},
                {"a\u0308\u0301", "ä\u0301"},
                {"\U00011099\U000110ba", "\U0001109a"},
                {"\U00011935\U00011930", "\U00011935\U00011930"},
                {"\u09c7\u09be", "\u09cb"},
                {"e\u0301\nA\u030a", "é\nÅ"},
                {"\u1e9b\u0323", "\u1e9b\u0323"},
                {"s\u0323\u0307", "ṩ"},
                {"ḋ\u0323", "ḍ\u0307"}};
    for (const auto& row : rows) {
        EXPECT_EQ(unicode::nfc(row.text), row.normal) << row.text;
        EXPECT_EQ(unicode::nfc(row.normal), row.normal);
    }
    EXPECT_EQ(unicode::nfc("e\xCC"), "e\xCC");  // half a mark is no mark
    EXPECT_TRUE(unicode::is_nfc("plain ASCII, Grüße, 日本"));
    EXPECT_FALSE(unicode::is_nfc("e\u0301"));
}

TEST(unicode, a_pattern_is_recognised_by_its_text_alone) {
    for (const SplitRule rule :
         {SplitRule::gpt2, SplitRule::llama3, SplitRule::cl100k, SplitRule::qwen2, SplitRule::o200k})
        EXPECT_EQ(rule_of(pattern_of(rule)), rule) << name_of(rule);
    EXPECT_FALSE(rule_of("(a+)+$"));
    EXPECT_FALSE(rule_of(""));
    EXPECT_FALSE(rule_of(std::string(pattern_of(SplitRule::gpt2)) + "|x"));
}

TEST(unicode, pieces) {
    using Pieces = std::vector<std::string>;
    struct {
        SplitRule rule;
        const char* text;
        Pieces pieces;
    } rows[] = {
        {SplitRule::gpt2, "I'll  go 12ab !?'s\n\n", {"I", "'ll", " ", " go", " 12", "ab", " !?'", "s", "\n\n"}},
        {SplitRule::gpt2, "x\n\ny 'S\u00a0z", {"x", "\n", "\n", "y", " '", "S", "\u00a0", "z"}},
        {SplitRule::llama3,
         "I'LL 'ſ$ab 12345 !?\n\n x\n \ny",
         {"I", "'LL", " '", "ſ", "$ab", " ", "123", "45", " !?\n\n", " x", "\n \n", "y"}},
        {SplitRule::llama3, "a \n ", {"a", " \n", " "}},
        {SplitRule::cl100k, "a \n ", {"a", " \n "}},
        {SplitRule::cl100k, "a \n b", {"a", " \n", " b"}},
        {SplitRule::qwen2, "a12\tb  c", {"a", "1", "2", "\tb", " ", " c"}},
        {SplitRule::llama3, "'ſab'sx'Sx", {"'ſ", "ab", "'s", "x", "'S", "x"}},
        {SplitRule::gpt2, "'ſab'sx", {"'", "ſab", "'s", "x"}},
        {SplitRule::none, "a b\n", {"a b\n"}},
        {SplitRule::gpt2, "a\xFF\xFE b", {"a", "\xFF\xFE", " b"}},
        {SplitRule::o200k, "camelCase HTTPServer's", {"camel", "Case", " HTTPServer's"}},
        {SplitRule::o200k, "\u65e5\u672cX", {"\u65e5\u672c", "X"}},
        {SplitRule::o200k, "\u65e5\u672cXy", {"\u65e5\u672cXy"}},
        {SplitRule::o200k, "AB\u65e5\u672cCDe", {"AB\u65e5\u672cCDe"}},
        {SplitRule::o200k, "\u0301ABc", {"\u0301ABc"}},
        {SplitRule::o200k, "!\u0301a", {"!\u0301a"}},
        {SplitRule::o200k, "\u0301A", {"\u0301", "A"}},
        {SplitRule::o200k, "\u01c5a\u02b0B\u00aa", {"\u01c5a\u02b0", "B\u00aa"}},
        {SplitRule::o200k, " don't DON'TX 'sA", {" don't", " DON'T", "X", " '", "s", "A"}},
        {SplitRule::o200k, "a//\n/b ../\r\n c", {"a", "//\n/", "b", " ../\r\n", " c"}},
        {SplitRule::o200k, "12345a6", {"123", "45", "a", "6"}},
        {SplitRule::o200k, "  a \n\n b  ", {" ", " a", " \n\n", " b", "  "}},
        {SplitRule::o200k, "\u3000A\tb", {"\u3000A", "\tb"}},
        {SplitRule::o200k, "x\u0301Y", {"x\u0301", "Y"}},
        {SplitRule::digits, "a12  3 4", {"a", "1", "2", "  ", "3", " ", "4"}},
        {SplitRule::digits, "  12", {"  ", "1", "2"}},
        {SplitRule::digits, "a 1\n2 b", {"a", " ", "1", "\n", "2", " b"}},
        {SplitRule::digits, "1\u00bd\u0663x", {"1", "\u00bd", "\u0663", "x"}},
        {SplitRule::digits, "don't1's", {"don", "'t", "1", "'s"}},
        {SplitRule::digits, "!\U00011de0\U00016ff4!", {"!", "\U00011de0", "\U00016ff4", "!"}},
        {SplitRule::digits, "1\U00011de02", {"1", "\U00011de0", "2"}},
        {SplitRule::digits, " \U00011de0", {" ", "\U00011de0"}},
        {SplitRule::digits, "x  ", {"x", "  "}},
        {SplitRule::digits, "  x1", {" ", " x", "1"}},
        {SplitRule::numbers, "a12  3 4", {"a", "12", "  ", "3", " ", "4"}},
        {SplitRule::numbers, "  12", {"  ", "12"}},
        {SplitRule::numbers, "a 1\n2 b", {"a", " ", "1", "\n", "2", " b"}},
        {SplitRule::numbers, "1\u00bd\u0663x", {"1\u00bd\u0663", "x"}},
        {SplitRule::numbers, "don't1's", {"don", "'t", "1", "'s"}},
        {SplitRule::numbers, "!\U00011de0\U00016ff4!", {"!", "\U00011de0\U00016ff4", "!"}},
        {SplitRule::numbers, "1\U00011de02", {"1", "\U00011de0", "2"}},
        {SplitRule::numbers, " \U00011de0", {" ", "\U00011de0"}},
        {SplitRule::numbers, "x  ", {"x", "  "}},
        {SplitRule::numbers, "  x1", {" ", " x", "1"}},
    };
    for (const auto& row : rows) {
        Pieces pieces;
        for (std::string_view rest = row.text; !rest.empty();) {
            pieces.emplace_back(rest.substr(0, piece_length(row.rule, rest)));
            rest.remove_prefix(pieces.back().size());
        }
        EXPECT_EQ(pieces, row.pieces) << name_of(row.rule) << ": " << row.text;
    }
}
