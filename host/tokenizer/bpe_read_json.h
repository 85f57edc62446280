// Reads the tokenizer.json of a byte-level BPE. Parts that would change ids and that we do
// not have are refused by name.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include "tokenizer.h"

// `file` is what `text` says. Throws Error{input} naming `what` and the part that cannot be.
Tokenizer bpe_from_json(const nlohmann::json& file, std::string_view text, const std::string& what);
