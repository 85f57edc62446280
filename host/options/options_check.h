// What the values of the flags mean together, and for the model.
#pragma once
#include <string>
#include <vector>
#include "host/model/config.h"
#include "options.h"

// What is wrong with the values taken together, a line each. Neither files nor the model are looked at.
// Of a run to resume only the flags that are given are known at first: those are not compared with defaults.
enum class Known { given, all };
std::vector<std::string> contradictions(const Options& options, Known known);

// What contradicts the model: its own problems(), a context it does not have, a total batch that does not divide.
// parse() has asked this for a preset; ask it for a directory once its config is known.
std::vector<std::string> problems(const Options& options, const Config& model);

int sequences_of_step(const Options& options, int T);  // of T tokens; of all ranks

// Sequences that a rank computes at a time: --batch, or the most up to that which its share of a step's sequences is a
// multiple of. The ranks must divide `sequences`.
int micro_batch(const Options& options, int sequences);
int micro_batch(int share, int most);  // the most up to that which `share` is a multiple of
