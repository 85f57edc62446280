// A tokenizer from where it lies, whatever its format.
#pragma once
#include <string>
#include "tokenizer.h"

// A tokenizer.json, a tiktoken file, or a directory with one of them or with vocab.json and merges.txt.
// Throws Error{input} naming the file.
Tokenizer load_tokenizer(const std::string& path);
