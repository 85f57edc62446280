// `train_gpt plan --gpu NAME`.
#pragma once
#include <string>
#include "forecast_text.h"
#include "host/options/options.h"

// What the flags ask a forecast for. Throws Error{usage}.
Training training_of(const Options& options, const Config& config);
// One row for each number of ranks up to --ranks. Throws Error{device} if it does not fit on --ranks of them.
std::vector<ForecastRow> forecast_rows(const Training& training, int ranks);
