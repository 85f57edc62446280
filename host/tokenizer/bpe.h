// Byte-level byte-pair encoding (BPE), as GPT-2, Llama 3 and Qwen use it: normalise the text, cut it into pieces
// (pre_tokenizer.h), merge each piece's bytes into tokens (bpe_merges.h). Ids equal those of tokenizers and tiktoken.
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
    bool ignore_merges = false;  // a piece that is a token is that token, whatever its merges say
    Ranks ranks = Ranks::listed;
    std::vector<std::string> names;                 // of every id, as files spell it
    std::vector<MergeRule> merges;                  // in the order of their ranks
    std::vector<AddedToken> added;                  // sorted by id
    std::vector<int> before, after;                 // what a text gets around it where special tokens are wanted
    std::optional<std::vector<int>> before_prompt;  // what tokenizer_config.json makes of `before`
    bool recognises_specials = true;  // unless asked otherwise: tiktoken and GPT-2's two files say nothing of them
    std::string file, config;         // the tokenizer.json and tokenizer_config.json this came from; empty: none

    // Builds what encode needs. Throws Error{input} naming `what` if a byte has no token.
    void index(const std::string& what);

    // Several threads may encode. Bytes that are not UTF-8 are symbols of their own.
    void encode(std::vector<int>& ids, std::string_view text, Specials specials) const;
    size_t safe_cut(std::string_view text, size_t near) const;
    int find(std::string_view name) const;  // -1: no token is called so
    uint64_t hash(uint64_t seed) const;     // of all that decides ids; the same for a file and what became of it

    Bpe();
    ~Bpe();

private:
    void encode_pieces(std::vector<int>& ids, std::string_view text, PieceCache& cache) const;
    void encode_normalized(std::vector<int>& ids, std::string_view text, PieceCache& cache, Specials specials) const;
    void encode_piece(std::vector<int>& ids, std::string_view piece) const;
    std::unique_ptr<PieceCache> borrow() const;

    std::array<int, 256> byte_token{};
    MergeTable table;
    std::unordered_map<std::string, int> id_of_bytes;  // only where whole pieces are looked up
    std::unordered_map<std::string, int> id_of_name;
    AddedTokenFinder raw, normalized;
    bool cuts = true;  // no added token can reach across what safe_cut returns
    mutable std::mutex mutex;
    mutable std::vector<std::unique_ptr<PieceCache>> idle;  // what the threads before remember
};
