// A tokenizer as llama.cpp knows them: BPE of bytes ("gpt2") or SentencePiece's of characters ("llama").
#pragma once
#include <string>
#include <vector>
#include "gguf_writer.h"
#include "host/checkpoint/model_description.h"
#include "host/tokenizer/tokenizer.h"

namespace gguf {

struct TokenizerMetadata {
    Metadata metadata;
    std::vector<std::string> warnings;  // where llama.cpp will cut a text otherwise, a line each
};
// Of the model's tokenizer, with `template_file` its chat template if that is a file of its own. A vocabulary smaller
// than the model's gets tokens without a use. Throws Error{input} naming `what` where llama.cpp has nothing that cuts a
// text as the tokenizer does, or where it has more tokens than the model.
TokenizerMetadata tokenizer_metadata(const Tokenizer& tokenizer, const ModelDescription& model,
                                     const std::string& template_file, const std::string& what);
Metadata no_tokenizer();  // of a file for programs that give and take ids

}  // namespace gguf
