// A model's files in any format we read: a Hugging Face directory, one of the CS336 course's, or llm.c's .bin.
#pragma once
#include <string>
#include "model_description.h"
#include "parameter_values.h"

// Each throws Error{input} naming the file and what is wrong with it.
ModelDescription read_model_description(const std::string& path);
void load_weights(const std::string& path, const Config& config, const Layout& layout, const SetParameter& set);
void check_weights(const std::string& path, const Config& config, const Layout& layout);  // names and shapes only
