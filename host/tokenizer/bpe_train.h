// Training a byte-level BPE: the same vocabulary and merges as Hugging Face's BpeTrainer with ByteLevel's alphabet.
//
// Text is counted line by line, a line with its line end, cut into pieces. Again and again the most frequent pair of
// neighbours becomes a token; of equally frequent ones that with the smaller left, then the smaller right id.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>
#include "pre_tokenizer.h"
#include "tokenizer.h"

struct BpeTraining {
    int vocab = 0;  // tokens, the special ones and the 256 of bytes included
    uint64_t min_frequency = 0;
    SplitRule split = SplitRule::gpt2;
    std::vector<std::string> special_tokens;
};

using PieceCounts = std::unordered_map<std::string, uint64_t, TextHash, std::equal_to<>>;

void count_pieces(PieceCounts& counts, std::string_view text, SplitRule split);
void add_counts(PieceCounts& to, const PieceCounts& from);

// Throws Error{usage} if `vocab` is not even enough for bytes and special tokens. May end with fewer tokens:
// no pair is left.
Tokenizer train_bpe(const BpeTraining& how, const PieceCounts& counts,
                    const std::function<void(int done, int total)>& progress = {});
