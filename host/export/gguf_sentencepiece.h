// Vocabularies of characters with byte_fallback, as Llama 2 has one. llama.cpp does not list their merges: it joins
// whatever two neighbours make a token, the one with the highest score first.
#pragma once
#include <string>
#include <vector>
#include "host/tokenizer/bpe.h"

namespace gguf {

// A score for every token so that llama.cpp merges as the list of merges does. Throws Error{input} naming `what`, with
// this hint, where no scores can: a pair that makes a token is not listed, or merges of two tokens alternate.
std::vector<float> sentencepiece_scores(const Bpe& bpe, const std::string& what, const std::string& hint);
bool puts_space_first(const Bpe& bpe);  // before a text, and before what follows a special token

}  // namespace gguf
