// A model's files in any format we read: a Hugging Face directory, one of the CS336 course's, or llm.c's .bin.
#pragma once
#include <string>
#include <utility>
#include <vector>
#include "model_description.h"
#include "parameter_values.h"

// Each throws Error{input} naming the file and what is wrong with it:
// also where a checkpoint's manifest lists another one.
ModelDescription read_model_description(const std::string& path);
void load_weights(const std::string& path, const Config& config, const Layout& layout, const SetParameter& set);
// What else lies in a model's directory: a chat template, generation_config.json, a licence. Models made from it keep
// these files as they are. Not the weights, nor what a checkpoint writes itself; only the tokenizer's, or all but
// those, where another model takes them or this one has another tokenizer.
enum class Companions { all, tokenizer, no_tokenizer };
std::vector<std::pair<std::string, std::string>> companion_files(const std::string& directory, Companions which);
void check_weights(const std::string& path, const Config& config, const Layout& layout);  // names and shapes only
