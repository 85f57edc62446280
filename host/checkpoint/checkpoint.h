// Checkpoints of a run: RUN/step_00000500/ is a Hugging Face directory plus optimizer.safetensors, state.json and
// manifest.json. One whose manifest's sizes and checksums hold is whole; it is never changed after it appears.
//
// RUN/latest and RUN/best lead to one each (checkpoint_names.h).
// All functions that write need the run's lock (files::RunLock) held.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>
#include "checkpoint_names.h"
#include "host/base/json.h"
#include "model_description.h"
#include "optimizer_state.h"
#include "parameter_values.h"

struct CheckpointContents {
    int64_t step = 0;
    ModelDescription model;
    const Layout* layout = nullptr;
    GetParameter weights;
    std::vector<NamedParameters> optimizer;  // {"m", ..}, {"v", ..} and, where the weights are bf16, {"master", ..}
    Json state = Json::object();             // whatever the loop needs to go on; opaque here
    Json run = Json::object();               // the run's fingerprint: what must not change on resume
    std::vector<std::pair<std::string, std::string>> texts;  // further files: {"tokenizer.json", its text}
};

struct CheckpointFile {
    std::string name;
    uint64_t size;
    std::string xxh64;
};

struct Checkpoint {
    std::string path;
    int64_t step = 0;
    int64_t sequence = 0;  // grows with every save of a run: the newest is not always the largest step
    Json run;
    std::vector<CheckpointFile> files;
};

enum class Verify { sizes, checksums };

uint64_t checkpoint_bytes(const CheckpointContents& contents);  // about what it takes on disk

// Writes RUN/step_…, durable when this returns its path, and points RUN/latest at it. Throws Error{io} when the disk
// fails and Error{numeric} when a value is not finite; the run's other checkpoints are then untouched.
// RUN must be there.
std::string save_checkpoint(const std::string& run, const CheckpointContents& contents);

// Reads the manifest and verifies the files. Throws Error{input} naming the file and what is wrong with it.
Checkpoint open_checkpoint(const std::string& path, Verify verify = Verify::checksums);
// A file of a checkpoint's directory that is read on its own: Error{input} if a manifest of ours lists another one.
void require_as_listed(const std::string& directory, const std::string& name);
Json read_state(const Checkpoint& checkpoint);
void load_optimizer(const Checkpoint& checkpoint, const Layout& layout, const std::vector<NamedTargets>& parts);

std::vector<Checkpoint> list_checkpoints(const std::string& run);  // whole by manifest and sizes, oldest first
// The newest that verifies; nothing if the run has none. `warn` hears a line for each one skipped. Throws Error{input}
// naming what is wrong with each if there are some but none is whole.
using Warn = std::function<void(const std::string&)>;
std::optional<Checkpoint> newest_checkpoint(const std::string& run, const Warn& warn,
                                            Verify verify = Verify::checksums);

// What a process that was killed behind its save left undone: RUN/latest leads to the checkpoint if it is the newest.
void repair_latest(const std::string& run, const Checkpoint& checkpoint);
void mark_best(const std::string& run, int64_t step);  // RUN/best -> step_…; a warning where that cannot be
std::optional<int64_t> best_step(const std::string& run);
// Deletes all but the newest `keep` (at least 1) whole checkpoints and the best. One with files that its manifest does
// not name is kept: those files are somebody else's.
void prune_checkpoints(const std::string& run, int keep);
// Deletes the checkpoint's files, and its directory unless there is something else in it.
void remove_checkpoint(const std::string& run, const std::string& name);

// The directory to load a model from: a checkpoint or Hugging Face directory itself, or of a run its best, else its
// latest. The links of a run that still goes on may move while we read: this is what they name now.
std::string model_directory(const std::string& path);
