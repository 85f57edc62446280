// llm.c's checkpoints of GPT-2: 256 32-bit integers, then every kind of tensor for all layers, (out, in), row-major.
//
//   0 magic 20240326   1 version: 3 float, 5 bfloat16   2 T   3 V   4 L   5 NH   6 C
//   7 rows of the embedding (V padded)
#pragma once
#include <string>
#include "model_description.h"
#include "parameter_values.h"

namespace llmc {

bool is_checkpoint(const std::string& path);  // by its name: it ends with .bin
// The header, compared with the file's size. Throws Error{input} naming the file and what is wrong.
ModelDescription read_description(const std::string& path);
void check_weights(const std::string& path, const Config& config);
void load_weights(const std::string& path, const Config& config, const Layout& layout, const SetParameter& set);

}  // namespace llmc
