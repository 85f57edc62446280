// `train_gpt watch RUN`: rewrites a run's report while it trains.
#pragma once
#include "host/base/error.h"
#include "host/options/options.h"

// Until the run ends, or a signal comes (Exit::stopped). Waits for a run that has not begun. Throws Error{input} at a
// directory that is no run, and as report does.
Exit watch(const Options& options);
