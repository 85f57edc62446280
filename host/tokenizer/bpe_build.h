// What every reader of a byte-level BPE needs: its vocabulary in order, its merges by id, and the Tokenizer around it.
#pragma once
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>
#include "tokenizer.h"

// The tokens in the order of their ids, which must be 0, 1, 2, ... Throws Error{input} naming `what`.
std::vector<std::string> tokens_of(const nlohmann::json& vocab, const std::string& what);
std::unordered_map<std::string_view, int> ids_of(const std::vector<std::string>& names);
// Appends the merge of these two. They and what they become must be tokens: else it throws Error{input} naming `what`.
void add_merge(Bpe& bpe, const std::unordered_map<std::string_view, int>& ids, std::string_view left,
               std::string_view right, const std::string& what);
// Completes a Bpe whose fields are set.
Tokenizer make_tokenizer(std::shared_ptr<Bpe> bpe, const std::string& what);
