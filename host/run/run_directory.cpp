#include "run_directory.h"
#include <fmt/core.h>
#include <algorithm>
#include <filesystem>
#include "host/base/error.h"
#include "host/base/files.h"
#include "host/base/messages.h"
#include "host/base/text.h"
#include "host/options/options_parse.h"
#include "host/world/rank_output.h"
#include "tensorboard.h"

namespace {
namespace fs = std::filesystem;

using Names = std::vector<std::string>;

// An empty file begins with anything.
bool begins_with(const std::string& path, std::string_view text) {
    const files::Reader file(path);
    std::string begin(std::min<uint64_t>(text.size(), file.size()), ' ');
    file.read(begin.data(), begin.size(), 0);
    return text.starts_with(begin);
}

// Files that a run makes beside its checkpoints; what else lies in its directory is somebody's.
bool is_ours(const std::string& run, const std::string& name) {
    const std::string path = run + "/" + name;
    if (name == "latest" || name == "best") return !files::is_directory(path) && !pointed_at(run, name).empty();
    if (!files::is_file(path)) return false;
    return (name == "log.jsonl" && begins_with(path, "{\"run\":")) ||
           (is_rank_log(name) && begins_with(path, rank_log_begin)) ||
           (name == "report.html" && begins_with(path, "<!DOCTYPE html>")) ||
           (name.starts_with(EventFile::prefix) && name.ends_with(EventFile::suffix));
}

// The checkpoints first, as a run without them is none: then whatever else of ours.
void remove_old_run(const std::string& run) {
    for (const char* prefix : {"step_", "latest.", "best."}) files::remove_leftovers(run, prefix);
    for (const std::string& name : files::list(run))
        if (checkpoint_step(name) && files::is_directory(run + "/" + name)) remove_checkpoint(run, name);
    for (const std::string& name : files::list(run))
        if (is_ours(run, name)) fs::remove(run + "/" + name);
}

void refuse_foreign_log(const std::string& run) {
    if (files::exists(run + "/log.jsonl") && !is_ours(run, "log.jsonl"))
        throw Error(Exit::usage, printable(run) + "/log.jsonl", "is not the log of a run: it is not overwritten",
                    "choose another --out");
}

Names others_than_lock(const std::string& directory) {
    Names names = files::list(directory);
    std::erase(names, files::RunLock::name);
    return names;
}

// Makes it and returns what had to be made, the innermost first.
Names make_all(const std::string& directory) {
    Names made;
    std::error_code error;
    for (fs::path at = directory; !at.empty() && !fs::exists(at, error) && !error; at = at.parent_path())
        if (at.has_filename()) made.push_back(at.string());
    files::make_directories(directory);
    return made;
}

// The first that is free, and made at once: another run may start at the same moment.
Names make_numbered(const std::string& model) {
    Names made = make_all("runs");
    for (int n = 1;; n++) {
        const std::string path = fmt::format("runs/{}-{}", model, n);
        if (!files::make_new_directory(path)) continue;
        made.insert(made.begin(), path);
        return made;
    }
}

std::string newest_run() {
    std::string newest;
    fs::file_time_type time;
    std::error_code ignored;
    for (const fs::directory_entry& entry : fs::directory_iterator("runs", ignored)) {
        const std::string run = entry.path().string(), latest = pointed_at(run, "latest");
        if (latest.empty()) continue;
        const auto saved = fs::last_write_time(run + "/" + latest + "/manifest.json", ignored);
        if (newest.empty() || saved > time) newest = run, time = saved;
    }
    if (newest.empty())
        throw Error(Exit::input, "--resume", "there is no run with a checkpoint below runs/",
                    "name its directory: --resume DIR");
    return newest;
}

}  // namespace

RunDirectory::RunDirectory(const std::string& path, Names made) : path_(path), made(std::move(made)) {
    try {
        lock = std::make_unique<files::RunLock>(path);
    } catch (...) {
        for (const std::string& directory : this->made) fs::remove(directory);
        throw;
    }
}

std::unique_ptr<RunDirectory> RunDirectory::for_new_run(const Options& options, const std::string& model,
                                                        const std::string& source) {
    const Names made = options.out.empty() ? make_numbered(model) : make_all(options.out);
    const std::string path = options.out.empty() ? made.front() : options.out;
    std::unique_ptr<RunDirectory> run(new RunDirectory(path, made));
    const Names old = others_than_lock(path);
    if (old.empty()) return run;
    if (!options.overwrite) {
        const bool resumable =
            std::any_of(old.begin(), old.end(), [](const std::string& n) { return !!checkpoint_step(n); });
        throw Error(Exit::usage, printable(path), "the run directory is not empty",
                    resumable
                        ? "choose another --out, continue with --resume " + printable(path) + ", or --overwrite it"
                        : "choose another --out, or --overwrite what is a run's in it");
    }
    if (!source.empty() && files::is_inside(source, path))
        throw Error(Exit::usage, "--overwrite",
                    "the weights to start from, " + printable(source) + ", would go with " + printable(path),
                    "choose another --out");
    refuse_foreign_log(path);
    run->overwrites = true;
    return run;
}

std::unique_ptr<RunDirectory> RunDirectory::of_old_run(const std::string& path) {
    return std::unique_ptr<RunDirectory>(new RunDirectory(path, {}));
}

RunDirectory::~RunDirectory() {
    if (begun) return;
    lock->leave_nothing();
    std::error_code ignored;
    for (const std::string& directory : made) fs::remove(directory, ignored);  // only empty ones go
}

void RunDirectory::begin() {
    follow();
    if (overwrites) remove_old_run(path_);
    for (const char* prefix : {"step_", "latest.", "best."}) files::remove_leftovers(path_, prefix);
    begun = true;
}

void RunDirectory::follow() {
    const std::string now = lock->path();
    if (now.empty())
        throw Error(Exit::io, path_, "the run directory was deleted: nothing can be saved there",
                    "start the run again");
    if (now != path_) warn(path_ + ": the run directory is now " + now);
    path_ = now;
}

ResumePoint resume_point(const std::string& given) {
    const fs::path path = files::without_slash(given);
    const std::string parent = path.has_parent_path() ? path.parent_path().string() : ".",
                      name = path.filename().string();
    if (checkpoint_step(name)) return {parent, path.string()};
    if (name == "latest" || name == "best")
        if (const std::string target = pointed_at(parent, name); !target.empty())
            return {parent, parent + "/" + target};
    return {given, ""};
}

Checkpoint checkpoint_to_resume(const std::string& given, Verify verify, const Warn& warn) {
    const ResumePoint point = resume_point(given);
    if (!point.checkpoint.empty()) {
        Checkpoint one = open_checkpoint(point.checkpoint, verify);
        if (fs::path(one.path).filename() == checkpoint_name(one.step)) return one;
        throw Error(Exit::input, one.path, "is a checkpoint of another step under this name",
                    "rename it to " + checkpoint_name(one.step));
    }
    if (auto found = newest_checkpoint(point.run, warn, verify)) return *found;
    throw Error(Exit::input, given, "there is no checkpoint to resume from", "name another run, or start a new one");
}

Options with_saved(Options options) {
    const std::string given = options.resume->empty() ? newest_run() : *options.resume;
    std::error_code ignored;
    if (!fs::is_directory(resume_point(given).run, ignored))
        throw Error(Exit::input, given, "there is no such run", "name the directory of a run: --resume DIR");
    const Checkpoint checkpoint = checkpoint_to_resume(given, Verify::sizes, [](const std::string&) {});
    const Json saved = read_state(checkpoint);
    if (!saved.contains("options"))
        throw Error(Exit::input, checkpoint.path + "/state.json", "not the state of a training run",
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
    options.resume = given;
    return options;
}
