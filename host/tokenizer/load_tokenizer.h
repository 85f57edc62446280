// A tokenizer from where it lies, whatever its format.
#pragma once
#include <optional>
#include <string>
#include "pre_tokenizer.h"
#include "tokenizer.h"

// A tokenizer.json, a tiktoken file, or a directory with one of them or with vocab.json and merges.txt.
// `pattern` is how a tiktoken file of an unknown vocabulary cuts text; other files say it themselves.
// Throws Error{input} naming the file.
Tokenizer load_tokenizer(const std::string& path, std::optional<SplitRule> pattern = {});

// Whether a model's directory has files of a tokenizer, be it one that load_tokenizer refuses.
bool has_tokenizer(const std::string& directory);
