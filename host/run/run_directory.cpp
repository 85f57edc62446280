#include "run_directory.h"
#include <fmt/core.h>
#include <filesystem>
#include "host/base/error.h"
#include "host/base/text.h"
#include "host/checkpoint/checkpoint.h"
#include "host/options/options_parse.h"
#include "tensorboard.h"

namespace {
namespace fs = std::filesystem;

// Files and directories that a run makes; what else lies in its directory is somebody's.
bool ours(const std::string& name) {
    return name == files::RunLock::name || name == "log.jsonl" || name == "latest" || name == "best" ||
           name == "report.html" || (name.starts_with(EventFile::prefix) && name.ends_with(EventFile::suffix)) ||
           name.starts_with("step_") || name.starts_with(".tmp.step_") || name.starts_with(".trash.step_");
}

std::string newest_run() {
    std::string newest;
    fs::file_time_type time;
    std::error_code ignored;
    for (const fs::directory_entry& entry : fs::directory_iterator("runs", ignored)) {
        const fs::path latest = entry.path() / "latest";
        if (!fs::exists(latest, ignored)) continue;
        const auto written = fs::last_write_time(entry.path(), ignored);
        if (newest.empty() || written > time) newest = entry.path().string(), time = written;
    }
    if (newest.empty())
        throw Error(Exit::input, "--resume", "there is no run with a checkpoint below runs/",
                    "name its directory: --resume DIR");
    return newest;
}

std::string unused_name(const std::string& model) {
    for (int n = 1;; n++) {
        const std::string path = fmt::format("runs/{}-{}", model, n);
        if (!files::exists(path)) return path;
    }
}
}  // namespace

RunDirectory new_run_directory(const Options& options, const std::string& model) {
    const std::string directory = options.out.empty() ? unused_name(model) : options.out;
    files::make_directories(directory);
    RunDirectory made{directory, std::make_unique<files::RunLock>(directory)};
    std::vector<std::string> old;
    for (const std::string& entry : files::list(directory))
        if (entry != files::RunLock::name) old.push_back(entry);
    if (old.empty()) return made;
    if (!options.overwrite)
        throw Error(Exit::usage, directory, "the run directory is not empty",
                    "choose another --out, continue with --resume " + directory + ", or --overwrite it");
    for (const std::string& entry : old)
        if (ours(entry)) fs::remove_all(fs::path(directory) / entry);
    return made;
}

RunDirectory old_run_directory(const std::string& directory) {
    RunDirectory found{directory, std::make_unique<files::RunLock>(directory)};
    files::remove_leftovers(directory, "step_");
    return found;
}

Options with_saved(Options options) {
    const std::string directory = options.resume->empty() ? newest_run() : *options.resume;
    if (!fs::is_directory(directory))
        throw Error(Exit::input, directory, "there is no such run", "name the directory of a run: --resume DIR");
    const std::vector<Checkpoint> whole = list_checkpoints(directory);
    if (whole.empty())
        throw Error(Exit::input, directory, "there is no checkpoint to resume from",
                    "start the run anew with --overwrite");
    const Json saved = read_state(whole.back());
    if (!saved.contains("options"))
        throw Error(Exit::input, whole.back().path + "/state.json", "not the state of a training run",
                    "resume another run");
    if (const Json had = saved["options"].value("tokenizer", Json());
        options.has("tokenizer") && had.is_string() && had != options.tokenizer)
        throw Error(Exit::usage, "--tokenizer",
                    "a run keeps its tokenizer, which was given as " + in_quotes(had.get<std::string>()),
                    "leave it out, or start another run");
    restore(options, saved["options"]);
    // Runs of before --eval-sequences counted micro-batches.
    if (const Json& flags = saved["options"]; flags.contains("eval-batches") && !options.has("eval-sequences"))
        options.eval_sequences = int(parse_count(flags["eval-batches"], "saved flags: eval-batches", 1 << 20)) *
                                 std::min(options.batch, 1 << 10);
    options.resume = directory;
    return options;
}
