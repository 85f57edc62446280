// Which directory a run lives in, and how an earlier one is taken up again.
#pragma once
#include <memory>
#include <string>
#include "host/base/files.h"
#include "host/options/options.h"

struct RunDirectory {
    std::string path;
    std::unique_ptr<files::RunLock> lock;  // nobody else writes there while this lives
};

// --out, else runs/MODEL-N with the first N that is free. Throws Error{usage} if it is not empty and may not be overwritten.
RunDirectory new_run_directory(const Options& options, const std::string& model);
RunDirectory old_run_directory(const std::string& directory);  // whatever killed processes left there is removed

// A resumed run's directory and the flags it was started with, where the command line does not say otherwise.
Options with_saved(Options options);
