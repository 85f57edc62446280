// config.json of a Hugging Face directory, in both directions, for GPT-2, Llama, Qwen2 and Qwen3. What these cannot
// express (say, LayerNorm with RoPE) is saved in the family `native`, under our own names.
#pragma once
#include <string>
#include "config_json.h"
#include "host/base/json.h"
#include "model_description.h"

enum class Family { gpt2, llama, mistral, qwen2, qwen3, native };
Family family_of(const Config& config);

// The keys transformers (4 and 5) reads, and the object "gpt_cu" with every field of Config.
Json to_json(const ModelDescription& model);
// Throws Error{input} naming `what` and the key for anything we cannot do. What is ignored stands in `ignored_ids` and
// `warnings`.
ModelDescription model_from_json(const Json& json, const std::string& what);
Json generation_config(const SpecialTokens& special);
// The tokens that end a text by a generation_config.json; none: it says nothing. Those beyond the model's vocabulary
// are added to its ignored_ids. Throws Error{input} naming `what`.
std::vector<int> ends_of_generation_config(ModelDescription& model, const Json& json, const std::string& what);
