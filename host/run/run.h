// A training run apart from where its model lives: its setup, where it stands, what it says and saves.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>
#include "host/base/error.h"
#include "host/base/progress.h"
#include "host/checkpoint/optimizer_state.h"
#include "host/checkpoint/parameter_values.h"
#include "host/reference/adamw.h"
#include "host/training/wishes.h"
#include "loop_state.h"
#include "run_directory.h"
#include "run_messages.h"
#include "run_rate.h"
#include "run_setup.h"
#include "saver.h"

// Of several ranks the first has the directory, the log and the messages; the others only count along.
class Run {
    std::unique_ptr<RunDirectory> directory;
    Progress progress;

public:
    // Reads the data and locks the run's directory, or that of an earlier run to resume (whose options are with_saved).
    // Throws Error before anything changes.
    Run(const Options& options, const World& world);
    Run(const Run&) = delete;

    const World world;
    RunSetup setup;
    LoopState state;
    ResumedRate rate;
    std::optional<RunMessages> messages;  // there once the run has begun, on the first rank
    Wishes wishes;

    void begin();  // once nothing is known to be in its way: an overwritten run goes, the log is opened

    AdamwStep adamw(int64_t step) const;
    bool stops_early() const { return ::stops_early(setup, state); }
    bool finished() const { return ::finished(setup, state); }
    bool pauses_after(int64_t step) const;  // to validate, save or sample, or as it was the last

    void announce(size_t parameters, const std::string& device);
    // Whether the step counts: its numbers are finite and no spike.
    bool takes(double loss, double norm) const;
    bool watches_spikes() const { return setup.options.spike_window > 0; }
    bool verifies(int64_t step) const;
    void report(const StepResult& step);  // counts the step; throws Error{numeric} after 3 that were not finite
    bool report_validation(double loss, double seconds);  // true: the best so far

    // What a save writes of a model, and how.
    struct Values {
        const Layout& layout;
        GetParameter weights;
        std::vector<NamedParameters> optimizer = {};
        bool master = false;  // and fp32 weights beside those
        Saver::Copies copies = Saver::Copies::at_change;
        // Whether training can go on from them. During a run the next step says so, and costs nothing.
        enum class Sound { yes, no, next_step_says } sound = Sound::next_step_says;
    };
    // Begins to save after state.step, in the background. A full disk costs a warning, and the run only the third time
    // in a row: after_save says so at the next step. Old checkpoints go when training is known to go on from this one.
    void save(const Values& values, bool best);
    void before_change() { saver.before_change(); }  // of the weights
    void after_save(Saver::When when);               // takes what came of it, deletes old ones; throws Error
    void wait_for_save() { saver.wait(); }
    void finish(bool stopped);  // the last words; throws what kept the last save from succeeding

    std::vector<int> prompt_tokens() const;
    std::string text_of(const std::vector<int>& tokens) const;

private:
    bool validation_broke = false;  // the last one's loss was not finite
    int failed_saves = 0;
    std::optional<Error> save_error;
    int64_t saved_step = -1, saving_step = -1;
    bool pruning = false;   // in the background
    bool unpruned = false;  // old checkpoints may go once the last is proven:
    bool proven = false;    // a step from its weights had finite numbers
    Saver saver;

    CheckpointContents contents() const;
    void add_texts(CheckpointContents& contents) const;
    void prune_in_background();
    void hear_of_step(bool finite);  // the last checkpoint is proven, or not
    SpikeWindow::Rule spike_rule() const { return {setup.options.spike_window, setup.options.spike_factor}; }
};

// Nothing is written any more when this goes, before the model does.
struct NoSaveOutlives {
    Run& run;
    ~NoSaveOutlives() { run.wait_for_save(); }
};
