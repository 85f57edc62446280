// Text to token ids and back. decode(encode(text)) == text but for unknown characters or words.
//
//   char   a token is a Unicode code point; the vocabulary is those of the training text and U+FFFD, sorted
//   word   a token is a word with the space before it, a digit, a symbol or a white space (rule in word_length)
//   byte   a token is a byte, its id the byte's value
//   bpe    GPT-2's, Llama's, Qwen's: a token is bytes or characters that merges made of single ones (bpe.h);
//          read from files
//
// Files of it: tokenizer_json.h and load_tokenizer.h. Text is UTF-8 (see repair_utf8).
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>
#include "added_tokens.h"
#include "host/base/names.h"
#include "metaspace.h"

enum class TokenizerKind { character, word, byte, bpe };
template <>
inline constexpr auto names_of<TokenizerKind> = std::to_array({"char", "word", "byte", "bpe"});

struct Bpe;

struct TextHash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const;
};

struct Tokenizer {
    TokenizerKind kind = TokenizerKind::byte;
    std::vector<std::string> tokens;  // the bytes of every id, within a text
    int unknown = -1;                 // id for what has no token; -1: there is no such thing
    std::shared_ptr<const Bpe> bpe;   // of kind bpe

    int vocab_size() const { return int(tokens.size()); }
    // Several threads may encode. Special tokens of a text that is data are ordinary characters.
    std::vector<int> encode(std::string_view text, Specials specials = Specials::as_text,
                            Place place = Place::beginning) const;
    std::string decode(std::span<const int> ids) const;  // a whole text; ids out of range add nothing
    int leading_spaces() const;                          // that decoding drops from the start of a text
    bool adds_space(std::string_view text) const;        // whether encoding puts one before this beginning of a text
    std::string token_text(int id) const;                // for people: "\n" as \n, half characters as \xE4
    // What its files put before a text that a model is to continue; nothing: they do not say,
    // as those of our own kinds.
    std::optional<std::vector<int>> before_prompt() const;
    int separator() const;  // the token between documents; -1: it has none
    uint64_t hash() const;  // XXH64 of kind and tokens: two that encode alike have the same

    // Where text may be cut at or after `near` so that the parts encode as the whole does, the second with
    // Place::middle.
    size_t safe_cut(std::string_view text, size_t near) const;

    // Derived from the above by index().
    std::vector<int> id_of_code_point;                                      // char: -1 where there is none
    std::unordered_map<std::string, int, TextHash, std::equal_to<>> id_of;  // word
    void index();
};

Tokenizer byte_tokenizer();
// A word vocabulary keeps the `most_words` most frequent; the rest is unknown. Other kinds keep everything.
Tokenizer train_tokenizer(TokenizerKind kind, std::string_view text, int most_words = 65000);

// Length of the word that starts at text[0] (not empty): a run of letters and marks with inner apostrophes, or one
// digit, or one symbol, each with a space before it if there is one; one ideograph or kana; one white space.
size_t word_length(std::string_view text);

// Decodes token by token, never emitting half a character. Bytes that make none become U+FFFD as repair_utf8 has it.
struct StreamDecoder {
    const Tokenizer& tokenizer;
    int drops = 0;  // so many spaces at the start are nothing: leading_spaces() where a text begins
    std::string waiting = "";
    std::string push(int id);
    std::string flush();  // at the end: what is left, repaired
};
