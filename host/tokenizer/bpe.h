// Byte-pair encoding (BPE): normalise the text, cut it into pieces (pre_tokenizer.h), merge each piece's symbols into
// tokens (bpe_merges.h). Symbols are bytes, as GPT-2, Llama 3 and Qwen have it, or characters, as Llama 2 has it
// (metaspace.h). Ids equal those of tokenizers and tiktoken.
#pragma once
#include <array>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>
#include "added_tokens.h"
#include "bpe_merges.h"
#include "metaspace.h"
#include "pre_tokenizer.h"

// The characters that stand for bytes in a vocabulary file: printable ones for themselves, the others from U+0100 on.
const std::array<std::string, 256>& byte_symbols();
// The bytes that such a text stands for; a text with any other character stands for its own bytes.
std::string bytes_of_symbols(std::string_view text);
bool is_symbols(std::string_view text);  // has no other character
std::string symbols_of_bytes(std::string_view bytes);

struct MergeRule {
    int left, right, token;
};  // left and right become token

// A merge's rank: its index in the list of merges (Hugging Face), or the id of the token it makes (tiktoken; two merges
// that make the same token then share a rank).
enum class Ranks { listed, tokens };

class PieceCache;

struct Bpe {
    SplitRule split = SplitRule::gpt2;
    bool add_prefix_space = false;  // before a text that does not begin with one
    bool nfc = false;
    std::optional<Metaspace> metaspace;  // of a vocabulary of characters, which has no `split`
    bool ignore_merges = false;          // a piece that is a token is that token, whatever its merges say
    Ranks ranks = Ranks::listed;
    std::vector<std::string> names;                 // of every id, as files spell it
    size_t model_tokens = 0;                        // so many are of the model, those behind only added; 0: all
    std::vector<bool> is_byte;                      // which of them stand for one, where others are of characters
    std::vector<MergeRule> merges;                  // in the order of their ranks
    std::vector<AddedToken> added;                  // sorted by id
    std::vector<int> before, after;                 // what a text gets around it where special tokens are wanted
    std::optional<std::vector<int>> before_prompt;  // what tokenizer_config.json makes of `before`
    bool recognises_specials = true;  // unless asked otherwise: tiktoken and GPT-2's two files say nothing of them
    std::string file, config;         // the tokenizer.json and tokenizer_config.json this came from; empty: none

    // Builds what encode needs. Throws Error{input} naming `what` if a byte has no token.
    void index(const std::string& what);

    // Several threads may encode. Bytes that are not UTF-8 are symbols of their own.
    void encode(std::vector<int>& ids, std::string_view text, Specials specials, Place place = Place::beginning) const;
    size_t safe_cut(std::string_view text, size_t near) const;
    std::string normalized_text(std::string_view text, Section section) const;
    int find(std::string_view name) const;  // -1: no token is called so
    uint64_t hash(uint64_t seed) const;     // of all that decides ids; the same for a file and what became of it

    Bpe();
    ~Bpe();

private:
    struct Run;  // what one call of encode hands on
    void encode_section(Run& run, std::string_view text, Section section) const;
    void encode_normalized(Run& run, std::string_view text, Section section) const;
    void encode_pieces(Run& run, std::string_view text, Section section) const;
    void encode_piece(std::vector<int>& ids, std::string_view piece) const;
    std::vector<int> symbols_of(std::string_view piece) const;
    void index_symbols(const std::string& what);
    void index_cuts();
    std::unique_ptr<PieceCache> borrow() const;

    std::array<int, 256> byte_token{};
    std::vector<int> character_token;  // of vocabularies of characters, by code point; -1: none
    MergeTable table;
    std::unordered_map<std::string, int> id_of_bytes;  // only where whole pieces are looked up
    std::unordered_map<std::string, int> id_of_name;
    AddedTokenFinder raw, normalized;
    MarkCuts mark_cuts = MarkCuts::none;
    bool cuts = true;               // no added token can reach across what safe_cut returns
    bool cuts_behind_lines = true;  // nor can a merge reach across a line feed
    mutable std::mutex mutex;
    mutable std::vector<std::unique_ptr<PieceCache>> idle;  // what the threads before remember
};
