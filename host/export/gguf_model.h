// What llama.cpp is told of a model: its architecture, sizes, RoPE, and where each tensor's values come from.
#pragma once
#include <optional>
#include <string>
#include <vector>
#include "gguf_writer.h"
#include "host/checkpoint/model_description.h"
#include "host/checkpoint/weight_map.h"

namespace gguf {

struct Architecture {
    const char* name;  // as llama.cpp calls it
    Names tensors;
};
// Throws Error{input} that says what of the model none of llama.cpp's architectures GPT-2, Llama, Qwen2, Qwen3 has.
Architecture architecture_of(const Config& config);

// "gpt2.block_count" and the like, but nothing of the tokenizer.
Metadata model_metadata(const Config& config, GgufType type, const std::string& name);

// Of Llama 3's scaling, what each pair's angle is divided by, (HS/2).
std::vector<float> rope_factors(const Config& config);

// One tensor of the file and the rows of ours that it is; without any, RoPE's factors.
struct TensorSource {
    Tensor tensor;
    std::optional<MappedTensor> rows;
};
// In the order in which a model's files give its parameters, so that each is written when it comes: first what needs
// none. Matrices have the type, or f16 where it is q8_0 and a row is no whole number of blocks; all else is f32.
std::vector<TensorSource> tensor_sources(const Config& config, const Layout& layout, GgufType type);

}  // namespace gguf
