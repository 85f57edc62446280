// Byte-level BPE as files. All throw Error{input} naming `what` and the part that cannot be. Nothing of a file is executed.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>
#include "tokenizer.h"

// Hugging Face's tokenizer.json.
Tokenizer bpe_from_json(const nlohmann::json& file, std::string_view text, const std::string& what);
std::string bpe_to_json(const Bpe& bpe);  // what it was read from, else one that reads as the same
std::string bpe_config_json(const Bpe& bpe, int separator);

// tiktoken's: a line for every token, its bytes in base64 and its rank. Such a file does not say how text is cut into pieces
// nor what its special tokens are: both are known of published vocabularies by their size, others are cut as cl100k.
Tokenizer bpe_from_tiktoken(std::string_view text, const std::string& what);

// GPT-2's vocab.json and merges.txt.
Tokenizer bpe_from_vocab_and_merges(std::string_view vocab, std::string_view merges, const std::string& what);

// Completes a Bpe whose fields are set.
Tokenizer make_tokenizer(std::shared_ptr<Bpe> bpe, const std::string& what);

// The tokens in the order of their ids, which must be 0, 1, 2, ...
std::vector<std::string> tokens_of(const nlohmann::json& vocab, const std::string& what);
// Appends the merge of these two, all three of which must be tokens.
void add_merge(Bpe& bpe, const std::unordered_map<std::string_view, int>& ids, std::string_view left,
               std::string_view right, const std::string& what);
std::unordered_map<std::string_view, int> ids_of(const std::vector<std::string>& names);
