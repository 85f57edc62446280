// `train_gpt plan`.
#pragma once
#include "host/model/config.h"
#include "host/options/options.h"

// Prints all of the plan. Throws Error{device} if training does not fit into --memory.
void run_plan(const Options& options, const Config& config);
