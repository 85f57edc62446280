// The weights of a Hugging Face directory: model.safetensors, or the shards of its index.json, as weight_map.h says.
// The CS336 course's state dict is read by the same tables.
#pragma once
#include <string>
#include "model_description.h"
#include "parameter_values.h"

// Writes directory/model.safetensors with memory for the largest row whose order is not ours. Throws Error{numeric} at
// an infinity or NaN.
WrittenFile save_weights(const std::string& directory, const ModelDescription& model, const Layout& layout,
                         const GetParameter& get);
// Of each of the layout's parameters: how many values save_weights asks for, some more than once.
std::vector<size_t> values_read(const ModelDescription& model, const Layout& layout);

namespace huggingface {

// All names and shapes are checked before set(); memory for the largest row,
// and once more for one whose order is not ours.
void load_weights(const std::string& directory, const Config& config, const Layout& layout, const SetParameter& set);
// Whether there are weights with a head that is not the token embedding.
bool has_other_head(const std::string& directory);
void check_weights(const std::string& directory, const Config& config, const Layout& layout);  // names and shapes only

}  // namespace huggingface
