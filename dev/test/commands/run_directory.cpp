// A run's directory: what we did not write stays, what was there goes only when the new run can begin, and a run keeps
// to its own directory wherever that is moved.
#include "host/run/run_directory.h"
#include <set>
#include "child_case.h"
#include "dev/test/support/expect_error.h"
#include "dev/test/support/text_search.h"
#include "host/base/json.h"

namespace {

// Every file below a directory with its contents.
std::map<std::string, std::string> contents_of(const fs::path& directory) {
    std::map<std::string, std::string> all;
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(directory)) {
        const std::string name = fs::relative(entry.path(), directory).string();
        if (name == files::RunLock::name) continue;
        all[name] = entry.is_symlink()        ? fs::read_symlink(entry.path()).string()
                    : entry.is_regular_file() ? files::read_file(entry.path().string(), 1 << 24)
                                              : "";
    }
    return all;
}

void put(const fs::path& path, const std::string& text = "mine") {
    fs::create_directories(path.parent_path());
    overwrite(path.string(), text);
}

std::set<std::string> names_in(const fs::path& directory) {
    const std::vector<std::string> names = files::list(directory.string());
    return {names.begin(), names.end()};
}

}  // namespace

TEST(run_directory, overwriting_deletes_only_names_that_a_run_writes) {
    const Temporary at;
    const fs::path text = write_text(at), out = at.path / "run";
    ASSERT_EQ(run(small(out, text)).code, Exit::done);
    const std::vector<fs::path> mine{"step_notes.txt",
                                     "step_00000005 (copy)/model.safetensors",
                                     "step_00000009.bak/manifest.json",
                                     "step_9/x",
                                     ".tmp.step_notes/x",
                                     ".tmp.other.77/x",
                                     "step_00000008/notes.txt",
                                     "events.out.tfevents.1.somebody",
                                     "report.html",
                                     "best.txt"};
    for (const fs::path& path : mine) put(out / path);
    fs::create_directory_symlink(at.path, out / "step_00000007");
    const Outcome o = run(small(out, text, {"--steps", "3", "--overwrite"}));
    EXPECT_EQ(o.code, Exit::done) << o.error;
    for (const fs::path& path : mine) EXPECT_EQ(files::read_file((out / path).string(), 100), "mine") << path;
    EXPECT_TRUE(fs::is_symlink(out / "step_00000007"));
    EXPECT_EQ(names_in(out / "step_00000008"), std::set<std::string>{"notes.txt"});
    EXPECT_FALSE(fs::exists(out / "step_00000004"));
    EXPECT_EQ(newest_checkpoint(out.string(), [](const std::string&) {})->step, 3);
}

TEST(run_directory, a_log_of_something_else_is_not_overwritten) {
    const Temporary at;
    const fs::path out = at.path / "run";
    put(out / "log.jsonl", "{\"mine\": 1}\n");
    const Outcome o = run(small(out, write_text(at), {"--overwrite"}));
    EXPECT_EQ(o.code, Exit::usage);
    EXPECT_TRUE(has(o.error, "log.jsonl: is not the log of a run")) << o.error;
    EXPECT_EQ(names_in(out), std::set<std::string>{"log.jsonl"});
}

// Where a checkpoint is to appear, somebody's files lie beside ours.
TEST(run_directory, a_save_deletes_nothing_of_somebody) {
    const Temporary at;
    const fs::path text = write_text(at), out = at.path / "run";
    ASSERT_EQ(run(small(out, text, {"--steps", "4"})).code, Exit::done);
    put(out / "step_00000008/notes.txt");
    const Outcome o = run({"--resume", out.string(), "--steps", "8"});
    EXPECT_EQ(o.code, Exit::done) << o.error;
    EXPECT_EQ(files::read_file((out / "step_00000008.old/notes.txt").string(), 100), "mine");
    EXPECT_TRUE(has(o.error, "step_00000008.old")) << o.error;
    open_checkpoint((out / "step_00000008").string());
}

// Refused for its data, its tokenizer or its model's weights: the old run is as it was.
TEST(run_directory, an_old_run_goes_only_when_the_new_one_can_begin) {
    const Temporary at;
    const fs::path text = write_text(at), out = at.path / "run", broken = at.path / "broken";
    ASSERT_EQ(run(small(out, text)).code, Exit::done);
    fs::copy(out / "step_00000008", broken);
    overwrite((broken / "model.safetensors").string(), "broken");
    const auto before = contents_of(out);
    const std::vector<std::string> more[] = {
        small(out, at.path / "absent.txt", {"--overwrite"}),
        small(out, text, {"--tokenizer", (at.path / "absent.json").string(), "--overwrite"}),
        {"--model", broken.string(), "--data", text.string(), "--out", out.string(), "--steps", "1", "--overwrite"},
        small(out, text, {"--context", "100000", "--overwrite"})};
    for (const auto& args : more) {
        const Outcome o = run(args);
        EXPECT_NE(o.code, Exit::done);
        EXPECT_EQ(contents_of(out), before) << o.error;
    }
}

TEST(run_directory, the_model_to_start_from_is_not_overwritten) {
    const Temporary at;
    const fs::path text = write_text(at), out = at.path / "run", link = at.path / "link";
    ASSERT_EQ(run(small(out, text)).code, Exit::done);
    fs::create_directory_symlink(out, link);
    const auto before = contents_of(out);
    for (const fs::path& model : {out, out / "best", out / "step_00000008"})
        for (const fs::path& target : {out, link}) {
            const Outcome o = run({"--model", model.string(), "--data", text.string(), "--out", target.string(),
                                   "--batch", "2", "--steps", "1", "--overwrite"});
            EXPECT_EQ(o.code, Exit::usage) << o.error;
            EXPECT_TRUE(has(o.error, "the weights to start from")) << o.error;
            EXPECT_EQ(contents_of(out), before);
        }
}

TEST(run_directory, a_refused_run_leaves_nothing) {
    const Temporary at;
    const fs::path text = write_text(at), broken = at.path / "broken", out = at.path / "new/deep/run",
                   empty = at.path / "empty", full = at.path / "full";
    ASSERT_EQ(run(small(at.path / "run", text)).code, Exit::done);
    fs::copy(at.path / "run/step_00000008", broken);
    overwrite((broken / "model.safetensors").string(), "broken");
    fs::create_directory(empty);
    put(full / "notes.txt");
    const auto train = [&](const fs::path& model, const fs::path& into) {
        return run({"--model", model.string(), "--data", text.string(), "--out", into.string(), "--batch", "2",
                    "--steps", "1", "--sample-tokens", "0"});
    };
    for (const fs::path& into : {out, empty, full}) EXPECT_NE(train(broken, into).code, Exit::done);
    EXPECT_FALSE(fs::exists(at.path / "new"));
    EXPECT_TRUE(fs::is_empty(empty));
    EXPECT_EQ(names_in(full), std::set<std::string>{"notes.txt"});
    EXPECT_EQ(train(at.path / "run", out).code, Exit::done);  // the corrected command
}

namespace {
// A run that has begun and goes on until a signal.
struct Endless {
    fs::path out;
    Child child;
    Endless(const fs::path& out, const fs::path& text)
        : out(out), child(small(out, text, {"--steps", "100000000", "--eval-every", "0"})) {
        EXPECT_TRUE(comes_true([&] { return fs::exists(out / "log.jsonl"); }));
    }
    int stop() {
        child.signal(SIGTERM);
        return child.wait();
    }
};
}  // namespace

TEST(run_directory, a_run_follows_its_directory) {
    SKIP_WHERE_A_CHILD_HAS_NO_THREADS();
    const Temporary at;
    const fs::path text = write_text(at), out = at.path / "run", moved = at.path / "moved";
    Endless first(out, text);
    fs::rename(out, moved);
    ASSERT_EQ(run(small(out, text)).code, Exit::done);  // a second one of the same name
    const auto second = contents_of(out);
    EXPECT_EQ(first.stop(), int(Exit::stopped));
    EXPECT_EQ(contents_of(out), second);
    const auto saved = newest_checkpoint(moved.string(), [](const std::string&) {});
    ASSERT_TRUE(saved);
    EXPECT_FALSE(read_state(*saved).empty());
    EXPECT_EQ(files::link_target((moved / "latest").string()), checkpoint_name(saved->step));
}

TEST(run_directory, a_deleted_one_is_not_made_again) {
    SKIP_WHERE_A_CHILD_HAS_NO_THREADS();
    const Temporary at;
    const fs::path text = write_text(at), out = at.path / "run";
    Endless first(out, text);
    fs::remove_all(out);
    EXPECT_EQ(first.stop(), int(Exit::io));
    EXPECT_FALSE(fs::exists(out));
    Endless again(out, text);
    fs::remove_all(out);
    ASSERT_EQ(run(small(out, text)).code, Exit::done);
    const auto second = contents_of(out);
    EXPECT_EQ(again.stop(), int(Exit::io));
    EXPECT_EQ(contents_of(out), second);
}

namespace {
// The current directory while it lives.
class Inside {
public:
    explicit Inside(const fs::path& directory) : before(fs::current_path()) { fs::current_path(directory); }
    ~Inside() { fs::current_path(before); }
    Inside(const Inside&) = delete;

private:
    const fs::path before;
};
}  // namespace

TEST(run_directory, runs_that_begin_together_take_different_numbers) {
    SKIP_WHERE_A_CHILD_HAS_NO_THREADS();
    const Temporary at;
    const fs::path text = write_text(at);
    const Inside here(at.path);
    std::vector<std::string> args = small("", text, {"--steps", "2"});
    args.resize(args.size() - 2);  // without --out
    std::vector<std::unique_ptr<Child>> children;
    for (int i = 0; i < 12; i++) children.push_back(std::make_unique<Child>(args));
    for (const auto& child : children) EXPECT_EQ(child->wait(), int(Exit::done));
    EXPECT_EQ(names_in("runs").size(), 12u);
}

TEST(run_directory, resume_without_a_name_takes_the_run_that_saved_last) {
    const Temporary at;
    const fs::path text = write_text(at);
    const Inside here(at.path);
    for (const char* name : {"runs/a", "runs/b"}) {
        ASSERT_EQ(run(small(name, text, {"--steps", "2"})).code, Exit::done);
        sleep_ms(20);
    }
    put("runs/a/report.html");  // touches the directory
    put("runs/c/notes.txt");
    const Outcome o = run({"--resume", "--steps", "3"});
    EXPECT_EQ(o.code, Exit::done) << o.error;
    EXPECT_TRUE(fs::exists("runs/b/step_00000003"));
}

TEST(run_directory, resume_of_one_checkpoint) {
    const Temporary at;
    const fs::path text = write_text(at), whole = at.path / "whole";
    ASSERT_EQ(run(small(whole, text, {"--save-every", "2", "--keep", "9"})).code, Exit::done);
    for (const char* name : {"step_00000004", "step_00000004/"}) {
        const fs::path cut = at.path / "cut";
        fs::remove_all(cut);
        fs::copy(whole, cut, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
        const Outcome o = run({"--resume", (cut / name).string()});
        EXPECT_EQ(o.code, Exit::done) << o.error;
        EXPECT_TRUE(has(o.out, "resumed at step 4")) << o.out;
        EXPECT_EQ(contents_of(cut / "step_00000008")["model.safetensors"],
                  contents_of(whole / "step_00000008")["model.safetensors"]);
        EXPECT_EQ(newest_checkpoint(cut.string(), [](const std::string&) {})->step, 8);
    }
    EXPECT_TRUE(has(run({"--resume", (whole / "latest").string()}).out, "resumed at step 8"));
}

// A checkpoint that is there and cannot be used: which file and why, and no advice to throw the run away.
TEST(run_directory, resume_says_what_is_wrong_with_each_checkpoint) {
    const Temporary at;
    const fs::path text = write_text(at), out = at.path / "run", step = out / "step_00000008";
    ASSERT_EQ(run(small(out, text, {"--keep", "1"})).code, Exit::done);
    fs::remove_all(out / "step_00000004");
    const auto refused = [&](const std::vector<std::string>& says) {
        for (const fs::path& named : {out, step}) {
            const Outcome o = run({"--resume", named.string()});
            EXPECT_EQ(o.code, Exit::input) << o.error;
            for (const std::string& part : says) EXPECT_TRUE(has(o.error, part)) << o.error << "\n  lacks " << part;
            EXPECT_FALSE(has(o.error, "--overwrite")) << o.error;
            if (named == out) fs::create_directory(out / "step_00000003");  // a second one to name
            else fs::remove(out / "step_00000003");
        }
    };
    const fs::path manifest = step / "manifest.json", weights = step / "model.safetensors", kept = at.path / "kept";
    const auto with = [&](const fs::path& file, const std::string& text, const std::vector<std::string>& says) {
        fs::rename(file, kept);
        overwrite(file.string(), text);
        refused(says);
        fs::remove(file), fs::rename(kept, file);
    };
    const std::string good = files::read_file(manifest.string(), 1 << 20);
    std::string newer = good;
    newer.replace(newer.find("\"version\": 1"), 12, "\"version\": 2");
    with(manifest, newer, {manifest.string(), "version 2, this program reads 1"});
    with(manifest, good.substr(0, 90), {manifest.string(), "JSON"});
    with(weights, "cut", {weights.string(), "has 3 bytes"});
    fs::rename(manifest, kept);
    refused({manifest.string(), "No such file"});
    fs::rename(kept, manifest);
    fs::rename(step, out / "step_00000005");
    const Outcome renamed = run({"--resume", out.string()});
    EXPECT_EQ(renamed.code, Exit::input);
    EXPECT_TRUE(has(renamed.error, "another step under this name")) << renamed.error;
    const Outcome named = run({"--resume", (out / "step_00000005").string()});
    EXPECT_EQ(named.code, Exit::input);
    EXPECT_TRUE(has(named.error, "another step under this name")) << named.error;
    fs::remove_all(out / "step_00000005");
    EXPECT_TRUE(has(run({"--resume", out.string()}).error, "there is no checkpoint to resume from"));
}

// Flags beside --resume are checked against the run's own, not against defaults.
TEST(run_directory, resume_compares_flags_with_those_of_the_run) {
    const Temporary at;
    const fs::path out = at.path / "run";
    ASSERT_EQ(run(small(out, write_text(at), {"--steps", "4", "--total-batch", "64"})).code, Exit::done);
    const Outcome o = run({"--resume", out.string(), "--total-batch", "64", "--batch", "4", "--steps", "6"});
    EXPECT_EQ(o.code, Exit::done) << o.error;
    const Outcome more =
        run({"--resume", out.string(), "--warmup", "1600", "--steps", "2000000000", "--total-batch", "65"});
    EXPECT_EQ(more.code, Exit::usage) << more.error;
    EXPECT_FALSE(has(more.error, "--warmup")) << more.error;
    EXPECT_TRUE(has(run({"--resume", out.string(), "--warmup", "1600"}).error, "1600 steps are more than --steps 6"));
}
