// The parts of a tokenizer.json around its model: normalizer, pre-tokenizer and decoder.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>

struct Bpe;

// The decoder says which alphabet the vocabulary has: ByteLevel bytes, a Sequence with ByteFallback characters. Throws
// Error{input} naming `what` and the part that we do not have.
void read_pipeline(Bpe& bpe, const nlohmann::json& file, const std::string& what);
