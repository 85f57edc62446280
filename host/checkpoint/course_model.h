// A model of Stanford's course CS336: model_config.json, with its state dict as safetensors beside it.
#pragma once
#include <string>
#include "host/base/json.h"
#include "model_description.h"

// Of its keys vocab_size, context_length, d_model, num_layers, num_heads, d_ff.
// Throws Error{input} naming `what` and the key.
ModelDescription course_model_from_json(const Json& json, const std::string& what);
