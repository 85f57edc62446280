#include "pre_tokenizer.h"
#include "host/base/utf8.h"
#include "host/tokenizer/unicode/unicode.h"

namespace {

using unicode::Class;

struct Spelling {
    SplitRule rule;
    std::string_view pattern;
};

#define AFTER_CONTRACTION R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N})"
#define REST R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"
#define CAPITALS R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])"
#define SMALL R"([\p{Ll}\p{Lm}\p{Lo}\p{M}])"
#define OPTIONAL_CONTRACTION "(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
// Of every rule first the one that we write.
constexpr Spelling spellings[] = {
    {SplitRule::gpt2, R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"},
    {SplitRule::gpt2, R"('(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"},
    {SplitRule::gpt2, R"('(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s)"},
    {SplitRule::llama3, "(?i:'s|'t|'re|'ve|'m|'ll|'d)" AFTER_CONTRACTION "{1,3}" REST},
    {SplitRule::cl100k, "(?i:'s|'t|'re|'ve|'m|'ll|'d)" AFTER_CONTRACTION R"({1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+\z)"
                        R"(|\s*[\r\n]+|\s+(?!\S)|\s+)"},
    {SplitRule::qwen2, "(?i:'s|'t|'re|'ve|'m|'ll|'d)" AFTER_CONTRACTION REST},
    {SplitRule::o200k, CAPITALS "*" SMALL "+" OPTIONAL_CONTRACTION CAPITALS "+" SMALL "*" OPTIONAL_CONTRACTION
                                R"(\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
};
#undef AFTER_CONTRACTION
#undef REST
#undef CAPITALS
#undef SMALL
#undef OPTIONAL_CONTRACTION

struct Character {
    Class what;
    uint32_t length;
};

// All that is known of a character; of a byte that is not UTF-8 that it is something else.
struct Described {
    uint16_t properties;
    uint32_t length;

    Class what() const { return Class(properties & unicode::class_bits); }
    bool is(uint16_t bit) const { return properties & bit; }
    bool may_be_small() const {
        return what() == Class::mark || (what() == Class::letter && !is(unicode::capital_bit));
    }
    bool may_be_capital() const {
        return what() == Class::mark || (what() == Class::letter && !is(unicode::small_bit));
    }
};

struct Text {
    const char* data;
    size_t size;
    const uint16_t* properties;

    Described describe(size_t i) const {
        const uint8_t byte = uint8_t(data[i]);
        if (byte < 0x80) return {properties[byte], 1};
        const CodePoint c = decode_utf8(std::string_view(data + i, size - i));
        if (!c.length) return {uint16_t(Class::other), 1};
        return {properties[c.value], uint32_t(c.length)};
    }
    // A mark is nothing special.
    Character at(size_t i) const {
        const Described c = describe(i);
        return {c.what() == Class::mark ? Class::other : c.what(), c.length};
    }
    Text from(size_t i) const { return {data + i, size - i, properties}; }
    // Where the run of such characters that begins at i ends.
    size_t run(size_t i, Class what) const {
        while (i < size) {
            const Character c = at(i);
            if (c.what != what) break;
            i += c.length;
        }
        return i;
    }
};

enum class Case { exact, any };

// Length of 's, 't, 're, 've, 'm, 'll or 'd at text[0] = '; 0: there is none. The long s is an s of another case.
size_t contraction(const Text& text, Case letter_case) {
    const auto letter = [&](size_t i) {
        const char c = i < text.size ? text.data[i] : '\0';
        return letter_case == Case::any && c >= 'A' && c <= 'Z' ? char(c + 32) : c;
    };
    const char a = letter(1), b = letter(2);
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
    if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return 3;
    const bool long_s = a == '\xC5' && b == '\xBF';
    return letter_case == Case::any && long_s ? 3 : 0;
}

// The last character of white space belongs to the piece after it; at the end of the text all of it is one piece.
size_t white_space(const Text& text, uint32_t first_length) {
    size_t at = first_length, last = 0;
    while (at < text.size) {
        const Character c = text.at(at);
        if (c.what != Class::space) return last ? last : at;
        last = at;
        at += c.length;
    }
    return at;
}

size_t gpt2_piece(const Text& text) {
    if (text.data[0] == '\'')
        if (const size_t length = contraction(text, Case::exact)) return length;
    const Character first = text.at(0);
    if (first.what != Class::space) return text.run(first.length, first.what);
    if (text.data[0] == ' ' && text.size > 1) {
        const Character next = text.at(1);
        if (next.what != Class::space) return text.run(1 + next.length, next.what);
    }
    return white_space(text, first.length);
}

size_t symbols_and(std::string_view ends, const Text& text, size_t at) {
    at = text.run(at, Class::other);
    while (at < text.size && ends.find(text.data[at]) != ends.npos) at++;
    return at;
}

size_t digits_up_to(int most, const Text& text) {
    size_t at = 0;
    for (int n = 0; n < most && at < text.size; n++) {
        const Character c = text.at(at);
        if (c.what != Class::number) break;
        at += c.length;
    }
    return at;
}

enum class Tail { lines, whole };  // of white space at the end of the text

size_t lines_or_white_space(const Text& text, uint32_t first_length, Tail tail) {
    size_t at = 0, last_line_end = 0;
    while (at < text.size) {
        const Character c = text.at(at);
        if (c.what != Class::space) break;
        at += c.length;
        if (text.data[at - 1] == '\r' || text.data[at - 1] == '\n') last_line_end = at;
    }
    if (at == text.size && tail == Tail::whole) return at;
    return last_line_end ? last_line_end : white_space(text, first_length);
}

size_t llama3_piece(const Text& text, int digits, Tail tail) {
    const char byte = text.data[0];
    if (byte == '\'')
        if (const size_t length = contraction(text, Case::any)) return length;
    const Character first = text.at(0);
    if (first.what == Class::letter) return text.run(first.length, Class::letter);
    if (first.what == Class::number) return digits_up_to(digits, text);
    if (byte != '\r' && byte != '\n' && first.length < text.size) {
        const Character next = text.at(first.length);
        if (next.what == Class::letter) return text.run(first.length + next.length, Class::letter);
        if (byte == ' ' && next.what == Class::other) return symbols_and("\r\n", text, 1 + next.length);
    }
    if (first.what == Class::other) return symbols_and("\r\n", text, first.length);
    return lines_or_white_space(text, first.length, tail);
}

enum class Word { capitals_and_small, capitals };

// Length of the word at `begin` as o200k sees it: what may be a capital, then what may be a small letter, of which
// the first kind needs one. 0: there is none. Marks and letters without case may be either, so the last of them ends
// a word where a capital follows it and no small letter comes after the capitals.
size_t o200k_word(const Text& text, size_t begin, Word kind) {
    size_t at = begin, last_either = 0;
    while (at < text.size) {
        const Described c = text.describe(at);
        if (!c.may_be_capital()) break;
        at += c.length;
        if (c.may_be_small()) last_either = at;
    }
    if (kind == Word::capitals) return at - begin;
    const size_t capitals = at;
    while (at < text.size) {
        const Described c = text.describe(at);
        if (!c.may_be_small()) break;
        at += c.length;
    }
    return at > capitals ? at - begin : last_either ? last_either - begin : 0;
}

size_t o200k_piece(const Text& text) {
    const Described first = text.describe(0);
    const Class what = first.what();
    const bool prefix = what != Class::letter && what != Class::number && text.data[0] != '\r' && text.data[0] != '\n';
    for (const Word kind : {Word::capitals_and_small, Word::capitals})
        for (int with = prefix; with >= 0; with--) {
            const size_t begin = with ? first.length : 0, length = o200k_word(text, begin, kind);
            if (!length) continue;
            const Text rest = text.from(begin + length);
            const bool apostrophe = rest.size && rest.data[0] == '\'';
            return begin + length + (apostrophe ? contraction(rest, Case::any) : 0);
        }
    if (what == Class::number) return digits_up_to(3, text);
    const size_t space = text.data[0] == ' ';
    if (space < text.size && text.at(space).what == Class::other) return symbols_and("\r\n/", text, space);
    return lines_or_white_space(text, first.length, Tail::lines);
}

enum class Digits { one, run };

// GPT-2's pieces of what lies between digits, as if the text ended before each.
size_t piece_between_digits(const Text& text, Digits together) {
    const auto digit = [&](size_t i) { return text.describe(i).is(unicode::digit_bit); };
    size_t at = 0;
    while (at < text.size && digit(at) && !(at && together == Digits::one)) at += text.describe(at).length;
    if (at) return gpt2_piece({text.data, at, text.properties});
    at = text.run(0, Class::space);
    if (at && (at == text.size || digit(at))) return at;
    const size_t length = gpt2_piece(text);
    for (at = 0; at < length && !digit(at);) at += text.describe(at).length;
    return at;
}

}  // namespace

size_t piece_length(SplitRule rule, std::string_view all) {
    const Text text{all.data(), all.size(), unicode::properties()};
    switch (rule) {
        case SplitRule::gpt2: return gpt2_piece(text);
        case SplitRule::llama3: return llama3_piece(text, 3, Tail::lines);
        case SplitRule::cl100k: return llama3_piece(text, 3, Tail::whole);
        case SplitRule::qwen2: return llama3_piece(text, 1, Tail::lines);
        case SplitRule::o200k: return o200k_piece(text);
        case SplitRule::digits: return piece_between_digits(text, Digits::one);
        case SplitRule::numbers: return piece_between_digits(text, Digits::run);
        case SplitRule::none: break;
    }
    return all.size();
}

std::string split_rules() {
    std::string list;
    for (const char* name : names_of<SplitRule>) {
        const bool last = name == names_of<SplitRule>.back();
        list.append(list.empty() ? "" : last ? " or " : ", ").append(name);
    }
    return list;
}

std::optional<SplitRule> rule_of(std::string_view pattern) {
    for (const Spelling& s : spellings)
        if (s.pattern == pattern) return s.rule;
    return std::nullopt;
}

std::string_view pattern_of(SplitRule rule) {
    for (const Spelling& s : spellings)
        if (s.rule == rule) return s.pattern;
    return "";
}
