// Which directory a run lives in, and how an earlier one is taken up again.
#pragma once
#include <memory>
#include <string>
#include <vector>
#include "host/base/run_lock.h"
#include "host/checkpoint/checkpoint.h"
#include "host/options/options.h"

// A run's directory, which nobody else writes to while this lives. Until begin() nothing in it changes, and what was
// made for a run that cannot begin goes again.
class RunDirectory {
public:
    // --out, else runs/MODEL-N with the first N that is free. `source`: the directory of the weights to start from, or
    // "". Throws Error{usage} if it is not empty and may not be overwritten, or holds the source.
    static std::unique_ptr<RunDirectory> for_new_run(const Options& options, const std::string& model,
                                                     const std::string& source);
    static std::unique_ptr<RunDirectory> of_old_run(const std::string& path);
    ~RunDirectory();
    RunDirectory(const RunDirectory&) = delete;

    void begin();   // an overwritten run goes, as does what killed processes left
    void follow();  // after it was moved; throws Error{io} if it was deleted
    const std::string& path() const { return path_; }

private:
    RunDirectory(const std::string& path, std::vector<std::string> made);

    std::string path_;
    std::vector<std::string> made;  // directories, the innermost first
    std::unique_ptr<files::RunLock> lock;
    bool overwrites = false, begun = false;
};

// What --resume names: a run, or one of its checkpoints.
struct ResumePoint {
    std::string run, checkpoint;  // a path; "": the newest that is whole
};
ResumePoint resume_point(const std::string& given);
// The checkpoint to go on from; `warn` hears of others that are not whole. Throws Error{input} naming what is wrong.
Checkpoint checkpoint_to_resume(const std::string& given, Verify verify, const Warn& warn);

// A resumed run's directory and the flags it was started with, where the command line does not say otherwise.
Options with_saved(Options options);
