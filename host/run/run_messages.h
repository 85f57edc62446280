// What a run says: to a person on stdout, to programs in log.jsonl and TensorBoard's files.
#pragma once
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include "host/base/files.h"
#include "host/base/progress.h"
#include "host/plan/plan.h"
#include "loop_state.h"
#include "run_setup.h"
#include "tensorboard.h"

struct StepResult {
    double loss, grad_norm, lr, seconds;
    uint64_t bytes_sent = 0;            // by this rank to others
    std::string first_not_finite = {};  // tensor, where one is known

    bool finite() const { return std::isfinite(loss) && std::isfinite(grad_norm); }
};

class RunMessages {
public:
    // Goes on with the log and the events of the run's directory, which may move. What it is given must outlive it.
    RunMessages(const RunSetup& run, const LoopState& state, const std::string& directory, Progress& progress);

    void announce(size_t parameters, const std::string& device, const std::string& rate_change);
    // Of a step that was just counted, or left out as a spike. Throws Error{numeric} after 3 that were not finite.
    void report(const StepResult& step, bool spike);
    void report_validation(double loss, double seconds);
    void report_sample(const std::string& text);
    void warn_of_disk();        // once, when the next checkpoint has no room
    void report_no_sample();    // where logits are not finite: what to do about it, losses tell
    void finish(bool stopped);  // the last words
    uint64_t log_bytes() const { return log.size(); }
    void sync_log() { log.sync(); }  // by any thread

private:
    std::string status(const StepResult& step) const;
    std::string disk_problem() const;
    uint64_t free_on_disk() const;
    void report_left_out(const StepResult& step, bool spike);
    void write(const Json& line);  // to the log
    void check(bool written);      // says so once if something was not
    double tokens_per_second() const {
        return average_seconds > 0 ? run.sequences * double(run.T) / average_seconds : 0;
    }

    const RunSetup& run;
    const LoopState& state;
    const std::string& directory;
    Progress& progress;
    const Plan plan;
    std::unique_ptr<EventFile> events;  // null: nobody wants them
    files::Log log;
    struct {
        double all = 0, causal = 0, palm = 0;
    } flops;                   // of a token; the last two are what MFU counts
    double peak_products = 0;  // of the ranks' GPUs by their data sheet; 0: not known
    double average_seconds = 0;
    bool lost = false;          // lines of the log or events
    bool disk_is_full = false;  // and said so
};
