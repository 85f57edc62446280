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
// Of every rule first the one that we write.
constexpr Spelling spellings[] = {
    {SplitRule::gpt2, R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"},
    {SplitRule::gpt2, R"('(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"},
    {SplitRule::gpt2, R"('(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s)"},
    {SplitRule::llama3, "(?i:'s|'t|'re|'ve|'m|'ll|'d)" AFTER_CONTRACTION "{1,3}" REST},
    {SplitRule::cl100k, "(?i:'s|'t|'re|'ve|'m|'ll|'d)" AFTER_CONTRACTION R"({1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+\z)"
                        R"(|\s*[\r\n]+|\s+(?!\S)|\s+)"},
    {SplitRule::qwen2, "(?i:'s|'t|'re|'ve|'m|'ll|'d)" AFTER_CONTRACTION REST},
};
#undef AFTER_CONTRACTION
#undef REST

struct Character {
    Class what;
    uint32_t length;
};

struct Text {
    const char* data;
    size_t size;
    const uint8_t* properties;

    Character at(size_t i) const {
        const uint8_t byte = uint8_t(data[i]);
        if (byte < 0x80) return {Class(properties[byte] & unicode::class_bits), 1};
        const CodePoint c = decode_utf8(std::string_view(data + i, size - i));
        if (!c.length) return {Class::other, 1};
        const Class what = Class(properties[c.value] & unicode::class_bits);
        return {what == Class::mark ? Class::other : what, uint32_t(c.length)};
    }
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

size_t symbols_and_line_ends(const Text& text, size_t at) {
    at = text.run(at, Class::other);
    while (at < text.size && (text.data[at] == '\r' || text.data[at] == '\n')) at++;
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
    if (first.what == Class::number) {
        size_t at = first.length;
        for (int n = 1; n < digits && at < text.size; n++) {
            const Character c = text.at(at);
            if (c.what != Class::number) break;
            at += c.length;
        }
        return at;
    }
    if (byte != '\r' && byte != '\n' && first.length < text.size) {
        const Character next = text.at(first.length);
        if (next.what == Class::letter) return text.run(first.length + next.length, Class::letter);
        if (byte == ' ' && next.what == Class::other) return symbols_and_line_ends(text, 1 + next.length);
    }
    if (first.what == Class::other) return symbols_and_line_ends(text, first.length);
    return lines_or_white_space(text, first.length, tail);
}

}  // namespace

size_t piece_length(SplitRule rule, std::string_view all) {
    const Text text{all.data(), all.size(), unicode::properties()};
    switch (rule) {
        case SplitRule::gpt2: return gpt2_piece(text);
        case SplitRule::llama3: return llama3_piece(text, 3, Tail::lines);
        case SplitRule::cl100k: return llama3_piece(text, 3, Tail::whole);
        case SplitRule::qwen2: return llama3_piece(text, 1, Tail::lines);
        case SplitRule::none: break;
    }
    return all.size();
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
