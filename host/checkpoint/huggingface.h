// A model as a Hugging Face directory: config.json and model.safetensors, in both directions, for GPT-2, Llama, Qwen2
// and Qwen3. What these cannot express (say, LayerNorm with RoPE) is saved in the family `native`, under our own names.
#pragma once
#include <functional>
#include <span>
#include "host/base/json.h"
#include "host/model/config.h"
#include "host/model/layout.h"
#include "safetensors.h"

enum class Family { gpt2, llama, qwen2, qwen3, native };

struct SpecialTokens {
    int bos = -1, pad = -1;
    std::vector<int> eos;
};  // -1: none

struct ModelDescription {
    Config config;
    SpecialTokens special;
    safetensors::Dtype dtype = safetensors::Dtype::F32;  // of the weights
};

Family family_of(const Config& config);

// config.json: the keys transformers (4 and 5) reads, and the object "gpt_cu" with every field of Config.
Json to_json(const ModelDescription& model);
// Throws Error{input} naming `what` and the key for anything we cannot do; nothing is ignored.
ModelDescription model_from_json(const Json& json, const std::string& what);
// model_config.json of Stanford's course CS336: vocab_size, context_length, d_model, num_layers, num_heads, d_ff.
ModelDescription course_model_from_json(const Json& json, const std::string& what);
// Of a Hugging Face directory, one of the course's (model_config.json, its state dict as safetensors), or llm.c's .bin.
ModelDescription read_model_description(const std::string& path);
Json generation_config(const SpecialTokens& special);

Json to_json(const Config& config);                                  // every field, by name
Config config_from_json(const Json& json, const std::string& what);  // unknown, missing and ill-typed fields are errors

using GetRow = std::function<void(const Row&, size_t first, std::span<float> out)>;  // its values from `first` on
using SetRow = std::function<void(const Row&, std::span<const float>)>;
struct WrittenFile {
    std::string name;
    uint64_t size, hash;
};

// Writes directory/model.safetensors with memory for the largest row whose order is not ours. Throws Error{numeric} at an infinity or NaN.
WrittenFile save_weights(const std::string& directory, const ModelDescription& model, const Layout& layout,
                         const GetRow& get);
// Reads model.safetensors, or the shards of its index.json, or llm.c's .bin. All names and shapes are checked before
// set(); memory for the largest row, and once more for one whose order is not ours.
void load_weights(const std::string& path, const Config& config, const Layout& layout, const SetRow& set);
void check_weights(const std::string& path, const Config& config, const Layout& layout);  // names and shapes only

// Whole rows under the names PREFIX.ROW, fp32: the optimiser's state.
struct NamedRows {
    std::string prefix;
    GetRow get;
};
struct NamedTargets {
    std::string prefix;
    SetRow set;
};
WrittenFile save_rows(const std::string& path, const Layout& layout, const std::vector<NamedRows>& parts);
void load_rows(const std::string& path, const Layout& layout, const std::vector<NamedTargets>& parts);
