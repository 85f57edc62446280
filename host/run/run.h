// A training run apart from where its model lives: its directory, data, log and checkpoints.
#pragma once
#include <limits>
#include <memory>
#include "host/base/progress.h"
#include "host/checkpoint/checkpoint.h"
#include "host/data/load_data.h"
#include "host/options/options.h"
#include "host/reference/adamw.h"
#include "host/reference/sampling.h"
#include "tensorboard.h"

// Every number the loop needs to go on; checkpoints keep it.
struct LoopState {
    int64_t step = 0;      // optimiser steps done
    uint64_t samples = 0;  // windows of the training data consumed
    int64_t skipped = 0;   // steps whose gradient was not finite
    int skipped_in_a_row = 0;
    int since_best = 0;  // validations without a better loss
    double best_val = std::numeric_limits<double>::infinity(), last_val = std::numeric_limits<double>::quiet_NaN();
    uint64_t log_bytes = 0;  // of log.jsonl at that step
};
Json to_json(const LoopState& state);
LoopState loop_state_from_json(const Json& json, const std::string& what);

struct StepResult {
    double loss, grad_norm, lr, seconds;
};

class Run {
public:
    // Reads the data and opens the run's directory, or that of an earlier run to resume (whose options are with_saved).
    // Throws Error before anything changes.
    explicit Run(Options options);

    Options options;
    Config config;
    std::string name;    // of the model
    std::string source;  // a directory whose weights to start from; "": random ones
    Data data;
    int T = 0, B = 0;   // a micro-batch
    int sequences = 0;  // of an optimiser step, a multiple of B
    int64_t steps = 0;  // of the whole run
    std::string directory;
    LoopState state;
    std::optional<Checkpoint> resumed;
    Progress progress;

    AdamwStep adamw(int64_t step) const;
    bool stops_early() const { return options.early_stop > 0 && state.since_best >= options.early_stop; }
    bool finished() const { return state.step >= steps || stops_early(); }
    bool due(int every) const { return every > 0 && state.step % every == 0; }
    bool pauses_after(int64_t step) const;  // to validate, save or sample, or as it was the last

    void announce(size_t parameters, const std::string& device);
    void report(const StepResult& step);  // counts the step; throws Error{numeric} after 3 that were not finite
    bool report_validation(double loss, double seconds);  // true: the best so far
    void report_sample(const std::string& text);
    void report_no_sample();  // where logits are not finite: what to do about it, losses tell

    // Saves after state.step. A full disk costs a warning, and the run only the third time in a row.
    void save(const Layout& layout, const GetRow& weights, const std::vector<NamedRows>& optimizer, bool best);
    void finish(bool stopped);  // the last words; throws what kept the last save from succeeding

    std::vector<int> prompt_tokens() const;
    std::string text_of(const std::vector<int>& tokens) const;

private:
    void choose_model();
    void load();
    void open_directory();
    void resume();
    Json fingerprint() const;
    std::string status(const StepResult& step) const;
    double tokens_per_second() const { return average_seconds > 0 ? sequences * double(T) / average_seconds : 0; }

    SpecialTokens special;
    std::unique_ptr<files::RunLock> lock;
    std::unique_ptr<files::Log> log;
    std::unique_ptr<EventFile> events;  // null: nobody wants them
    struct {
        double all = 0, causal = 0, palm = 0;
    } flops;                   // of a token; the last two are what MFU counts
    double peak_products = 0;  // of the GPU by its data sheet; 0: not known
    double average_seconds = 0;
    int failed_saves = 0;
    std::optional<Error> save_error;
    int64_t saved_step = -1;
};

// A resumed run's directory and the flags it was started with, where the command line does not say otherwise.
Options with_saved(Options options);
