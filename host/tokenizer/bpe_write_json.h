// Writes a byte-level BPE as a tokenizer.json that Hugging Face's library reads as the same function.
#pragma once
#include <string>

struct Bpe;

std::string bpe_to_json(const Bpe& bpe);                     // what it was read from, else one that reads as the same
std::string bpe_config_json(const Bpe& bpe, int separator);  // tokenizer_config.json
