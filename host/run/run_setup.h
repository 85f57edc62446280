// What a run is, fixed before its first step: its flags, model, data and batch.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include "host/base/json.h"
#include "host/base/progress.h"
#include "host/checkpoint/checkpoint.h"
#include "host/checkpoint/model_description.h"
#include "host/data/load_data.h"
#include "host/options/options.h"
#include "loop_state.h"

struct RunSetup {
    Options options;
    Config config;
    SpecialTokens special;
    std::string name;        // of the model
    std::string source;      // a directory whose weights to start from; "": random ones
    std::string vocabulary;  // one whose tokenizer and vocabulary alone to take
    std::string extension;   // what changed of a model whose context is extended, in words
    std::vector<std::pair<std::string, std::string>> companions;  // files the model came with, to stay as they are
    std::vector<int> prompt;                                      // of samples; empty: none was given
    Data data;
    int T = 0, B = 0;   // a micro-batch
    int sequences = 0;  // of an optimiser step; every rank has as many, a multiple of B
    int64_t steps = 0;  // of the whole run
    std::optional<Checkpoint> resumed;
    std::string chosen;  // by --batch auto, in words
};

Config config_at_work(const RunSetup& run);  // with the context that it trains on, which may be shorter

// What a rank may have for a model and its optimiser, which --batch auto asks for once the data are read.
struct MemoryOfRank {
    uint64_t bytes;
    bool host;  // the memory that saves are copied to
};
using AvailableMemory = std::function<MemoryOfRank()>;
// Reads the model's description and the data. A run that is `resumed` must be the one that was saved. Throws Error.
RunSetup set_up_run(const Options& options, const std::optional<Checkpoint>& resumed, Progress& progress,
                    const AvailableMemory& memory);

int64_t steps_of(const Options& options, const RunSetup& run);  // which these flags ask for. Throws Error{usage}
Json fingerprint_of(const RunSetup& setup);  // what must be the same for a resumed run to be the run it was
bool stops_early(const RunSetup& setup, const LoopState& state);
bool finished(const RunSetup& setup, const LoopState& state);
