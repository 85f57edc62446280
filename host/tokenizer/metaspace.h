// Vocabularies of characters, as SentencePiece makes them and Llama 2 has one: ▁ (U+2581) stands for a space, and
// what has no token of its own is the tokens <0x00> to <0xFF> of its bytes. Mostly a ▁ is put before a text, which
// decoding takes away.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// What is encoded: a text from its beginning, or a part that continues one. Only before the former goes what a
// tokenizer puts before a text.
enum class Place { beginning, middle };

// Text between added tokens: at the beginning of all of it, behind an added token, or going on where another part
// ended.
enum class Section { first, later, continued };

enum class Prefix {
    never,
    first,
    always
};  // which sections the pre-tokenizer puts a ▁ before if they do not begin with one

struct Metaspace {
    bool prepends = false;         // the normalizer puts a ▁ before every section,
    bool replaces = false;         // and makes every space one
    std::optional<Prefix> prefix;  // of the pre-tokenizer, which replaces spaces too; none: there is no pre-tokenizer
    bool splits = false;           // it cuts before every ▁
    int strips = 0;                // so many spaces at the start are nothing when decoded
};

inline constexpr std::string_view space_mark = "\u2581";

// The normalizer, and the pre-tokenizer but for its cuts.
std::string normalize(const Metaspace& how, std::string_view text, Section section);
std::string pre_tokenize(const Metaspace& how, std::string_view text, Section section);

// Whether a ▁ stands behind another character.
bool has_inner_mark(std::string_view text);

// How text that is pre-tokenized is cut: not at all; before every ▁; before every word, the ▁s before it with it.
enum class MarkCuts { none, marks, words };
size_t marked_piece_length(MarkCuts cuts, std::string_view text);  // of the piece at text[0]

std::string byte_name(int byte);                  // "<0x0A>"
int byte_of_name(std::string_view name);          // as the library reads it, "<0x0a>" too; -1: none
std::string text_of_name(std::string_view name);  // the text, or the byte, that a token stands for

// The text of these ids as the library has it: bytes in a row become characters, or U+FFFD each if any of them is
// part of none. `is_byte` says which tokens are one.
std::string decode_marked(const Metaspace& how, const std::vector<std::string>& tokens,
                          const std::vector<bool>& is_byte, std::span<const int> ids);
