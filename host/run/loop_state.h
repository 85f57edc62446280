// Every number the training loop needs to go on; checkpoints keep it.
#pragma once
#include <cstdint>
#include <limits>
#include <string>
#include "host/base/json.h"
#include "spikes.h"

struct LoopState {
    int64_t step = 0;      // optimiser steps done
    uint64_t samples = 0;  // windows of the training data consumed
    int64_t skipped = 0;   // steps whose gradient was not finite
    int skipped_in_a_row = 0;
    int64_t spikes = 0;      // steps left out
    SpikeWindow window;      // what tells them
    int since_best = 0;      // validations without a better loss
    int64_t best_step = -1;  // the last one that was better; -1: none
    double best_val = std::numeric_limits<double>::infinity(), last_val = std::numeric_limits<double>::quiet_NaN();
    uint64_t log_bytes = 0;  // of log.jsonl at that step

    bool due(int every) const { return every > 0 && step % every == 0; }  // 0: never
};
Json to_json(const LoopState& state);
// Throws Error{input} naming `what`.
LoopState loop_state_from_json(const Json& json, const std::string& what);
