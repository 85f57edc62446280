// A Tokenizer as Hugging Face's tokenizer.json, and back. Every field is written as their library writes it, so a file
// that went through it is still ours; anything else is refused by comparing all but the vocabulary.
#pragma once
#include <string>
#include <string_view>
#include "tokenizer.h"

std::string tokenizer_json(const Tokenizer& tokenizer);
std::string tokenizer_config_json(const Tokenizer& tokenizer);  // tokenizer_config.json, for transformers

// Reads a tokenizer.json: what tokenizer_json wrote, or any byte-level BPE whose parts we have.
// Throws Error{input} naming `what` and the part for anything else.
Tokenizer tokenizer_from_json(std::string_view json, const std::string& what);
