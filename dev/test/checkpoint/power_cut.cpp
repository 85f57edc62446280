// The power fails at any moment of a save: whatever the disk holds then, the run's newest checkpoint that looks whole
// is whole, none that was announced is lost, and `latest` and `best` lead to one. A sample of the states; all of them,
// with their number:  make power_cut
#include "dev/test/support/power_cut.h"
#include "checkpoint_case.h"
#include "dev/test/support/power_cut_case.h"

using power_cut::Count;
using power_cut::Operation;
using power_cut::Recording;

namespace {

// What must hold of a run's directory. `at_least`: the step that is sure to be there.
std::string fault_of(const std::string& run, const power_cut::State& state, int64_t at_least) {
    for (int64_t step = 9; step > at_least; step--)
        if (state.told("saved " + std::to_string(step))) at_least = step;
    const std::vector<Checkpoint> listed = list_checkpoints(run);
    try {
        if (!listed.empty()) open_checkpoint(listed.back().path);
        for (const char* link : {"latest", "best"})
            if (!pointed_at(run, link).empty()) open_checkpoint(run + "/" + pointed_at(run, link));
    } catch (const Error& error) { return error.what(); }
    if (!listed.empty() && listed.back().step >= at_least) return "";
    return at_least > 0 || !listed.empty() ? "step " + std::to_string(at_least) + " is lost" : "";
}

// Every so many states, the next save must succeed and leave nothing behind.
std::string fault_of_next(const std::string& run) {
    save(run, 5);
    files::remove_leftovers(run, "");
    for (const std::string& name : files::list(run))
        if (name[0] == '.') return name + " is left";
    return newest(run) == 5 ? "" : "the next save is lost";
}

Count try_saves(const Recording& recording, int64_t at_least, size_t stride) {
    size_t n = 0;
    return try_all(recording, stride, [&](const std::string& folder, const power_cut::State& state) {
        const std::string fault = fault_of(folder, state, at_least);
        return fault.empty() && n++ % 64 == 0 ? fault_of_next(folder) : fault;
    });
}

// A run with step 1, its best, whose process does something.
struct Scenario {
    Temporary run;
    Recording recording;
    explicit Scenario(const std::function<void(const std::string& run)>& what) {
        save(run.path, 1);
        mark_best(run.path, 1);
        recording = power_cut::record(run.path, [&] { what(run.path); });
        EXPECT_EQ(recording.exit_code, 0);
    }
};

void save_and_say(const std::string& run, int64_t step) {
    save(run, step);
    power_cut::mark("saved " + std::to_string(step));
}
void save_two_and_prune(const std::string& run) {
    save_and_say(run, 2);
    mark_best(run, 2);
    prune_checkpoints(run, 1);
}

}  // namespace

TEST(power_cut, a_save_and_what_it_deletes) {
    SKIP_WHERE_NOTHING_IS_TRACED();
    const Scenario s(save_two_and_prune);
    expect_no_violation("save, best, prune", try_saves(s.recording, 1, power_cut_stride(4)));
}

TEST(power_cut, saves_one_after_the_other) {
    SKIP_WHERE_NOTHING_IS_TRACED();
    const Scenario s([](const std::string& run) {
        for (const int64_t step : {2, 3, 4}) {
            save_and_say(run, step);
            if (step == 3) mark_best(run, step);
            prune_checkpoints(run, 2);
        }
    });
    expect_no_violation("three saves, keep 2", try_saves(s.recording, 1, power_cut_stride(16)));
}

TEST(power_cut, the_same_step_again) {
    SKIP_WHERE_NOTHING_IS_TRACED();
    const Scenario s([](const std::string& run) { save_and_say(run, 1); });
    expect_no_violation("the same step again", try_saves(s.recording, 1, power_cut_stride(4)));
}

TEST(power_cut, the_first_save_of_a_run) {
    SKIP_WHERE_NOTHING_IS_TRACED();
    const Temporary at;
    const Recording recording = power_cut::record(at.path, [&] {
        files::make_directories(at / "a/b/run");
        save_and_say(at / "a/b/run", 1);
    });
    EXPECT_EQ(recording.exit_code, 0);
    expect_no_violation("first save, in new directories",
                        try_all(recording, power_cut_stride(4), [](const auto& folder, const power_cut::State& state) {
                            const std::string run = folder + "/a/b/run";
                            if (files::exists(run)) return fault_of(run, state, 0);
                            return std::string(state.told("saved 1") ? "the run is lost" : "");
                        }));
}

TEST(power_cut, where_there_are_no_links) {
    SKIP_WHERE_NOTHING_IS_TRACED();
    const Scenario s([](const std::string& run) {
        files::before_operation = [](const char* operation, const std::string& path) {
            if (operation == std::string("symlink")) throw Error(Exit::io, path, "there are no links here");
        };
        save_two_and_prune(run);
    });
    expect_no_violation("files instead of links", try_saves(s.recording, 1, power_cut_stride(4)));
}

// ---- that the states would show it ----------------------------------------------------------------------------------

namespace {

void expect_violations(const char* what, const Count& count) {
    EXPECT_GT(count.violations, 0u) << what << " goes unseen in " << count.looked_at << " states";
    if (every_power_cut()) say(what, count);
}

// The same save, had it synced nothing of this kind.
void expect_missing_syncs_to_show(const char* what, power_cut::Node::Kind kind) {
    Recording careless = Scenario(save_two_and_prune).recording;
    std::erase_if(careless.operations, [&](const Operation& o) { return o.is_sync_of(kind, careless.made); });
    expect_violations(what, try_saves(careless, 1, power_cut_stride(16)));
}

bool is_rename_to_step(const Operation& o) {
    return o.name.starts_with("rename to ") && o.name.ends_with("/step_00000002");
}

}  // namespace

TEST(power_cut, sees_a_file_that_is_not_synced) {
    SKIP_WHERE_NOTHING_IS_TRACED();
    expect_missing_syncs_to_show("no fsync of files", power_cut::Node::Kind::file);
}

TEST(power_cut, sees_a_directory_that_is_not_synced) {
    SKIP_WHERE_NOTHING_IS_TRACED();
    expect_missing_syncs_to_show("no fsync of directories", power_cut::Node::Kind::directory);
}

TEST(power_cut, sees_a_rename_before_what_it_names_is_synced) {
    SKIP_WHERE_NOTHING_IS_TRACED();
    Recording early = Scenario(save_two_and_prune).recording;
    std::vector<Operation>& all = early.operations;
    const auto rename = std::find_if(all.begin(), all.end(), is_rename_to_step);
    ASSERT_NE(rename, all.end());
    // Its files are synced, but only behind the rename.
    std::stable_partition(all.begin(), rename + 1, [](const Operation& o) { return !o.name.starts_with("sync"); });
    expect_violations("rename before fsync", try_saves(early, 1, power_cut_stride(2)));
}

TEST(power_cut, sees_a_deletion_before_the_save) {
    SKIP_WHERE_NOTHING_IS_TRACED();
    const Scenario s([](const std::string& run) {
        files::remove_directory(run, "step_00000001");
        save_and_say(run, 2);
    });
    expect_violations("prune before the save", try_saves(s.recording, 1, power_cut_stride(16)));
}
