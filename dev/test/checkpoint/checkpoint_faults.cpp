// Checkpoints when the disk fails or the process dies while one is saved: what looks whole is whole.
#include <sys/wait.h>
#include <unistd.h>
#include "checkpoint_case.h"
#include "dev/test/support/expect_error.h"
#include "dev/test/support/full_disk.h"

TEST(checkpoint, full_disk) {
    const Temporary run;
    save(run.path, 1);
    uint64_t largest = 0;
    for (const CheckpointFile& file : open_checkpoint(run / "latest").files) largest = std::max(largest, file.size);
    for (uint64_t bytes = 0; bytes < largest; bytes += largest / 40 + 1) {
        SCOPED_TRACE(bytes);
        const FileSizeLimit limit(bytes);
        expect_error(Exit::io, {run.path, "File too large", "free some space"}, [&] { save(run.path, 2); });
        EXPECT_EQ(files::list(run.path), (Names{"latest", "step_00000001"}));
    }
    save(run.path, 2);
    EXPECT_EQ(newest(run.path), 2);
}

// What a kill cannot show, a power cut would: the order in which things are made durable.
namespace {
std::vector<std::string> operations;
void record(const char* operation, const std::string& path) {
    operations.push_back(operation + (" " + fs::path(path).filename().string()));
}
}  // namespace

TEST(checkpoint, is_durable_before_it_is_visible) {
    const Temporary run;
    save(run.path, 1);
    operations.clear();
    files::before_operation = record;
    save(run.path, 2);
    prune_checkpoints(run.path, 1);
    files::before_operation = nullptr;
    std::erase_if(operations, [](const std::string& line) { return line.starts_with("write "); });
    const std::string pid = std::to_string(getpid()), directory = ".tmp.step_00000002." + pid;
    const std::string parent = run.path.filename().string();
    Names expected = {"mkdir " + directory};
    for (const char* name : {"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json",
                             "model.safetensors", "optimizer.safetensors", "state.json", "manifest.json"})
        for (const char* operation : {"open ", "fsync ", "close "}) expected.push_back(operation + std::string(name));
    for (const std::string& line : {"fsync " + directory, std::string("rename step_00000002"), "fsync " + parent,
                                    std::string("symlink latest"), std::string("rename latest"), "fsync " + parent,
                                    "rename .trash.step_00000001." + pid, "remove .trash.step_00000001." + pid})
        expected.push_back(line);
    EXPECT_EQ(operations, expected);
}

// ---- a process that dies, or a disk that fails, at the Nth operation ------------------------------------------------

namespace {
int countdown = 0;
void die(const char*, const std::string&) {
    if (!countdown--) _exit(9);
}
void fail(const char* operation, const std::string& path) {
    if (!countdown--) throw Error(Exit::io, path, std::string("injected failure of ") + operation);
}

// What a trainer does when it saves; step 1 is there already.
void save_two(const std::string& run, bool same_step) {
    save(run, same_step ? 1 : 2);
    if (!same_step) mark_best(run, 2);
    prune_checkpoints(run, 1);
}

// Calls attempt(run, n, same_step) for run directories with one checkpoint, n counting up until it says that its save
// went through to the end. The same step differs only in how it ends.
template <class Attempt>
void until_saved(Attempt attempt) {
    const Temporary start;
    save(start.path, 1);
    mark_best(start.path, 1);
    int operations = 0;
    for (const bool same_step : {false, true})
        for (int n = std::max(operations - 20, 0), finished = 0; !finished; operations = ++n) {
            SCOPED_TRACE(n);
            ASSERT_LT(n, 1000);
            const Temporary run;
            fs::copy(start.path, run.path, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
            finished = attempt(run.path, n, same_step);
        }
}

}  // namespace

TEST(checkpoint, killed_at_any_operation) {
    until_saved([](const fs::path& run, int n, bool same_step) {
        const pid_t child = fork();
        if (!child) {
            countdown = n;
            files::before_operation = die;
            save_two(run, same_step);
            _exit(0);
        }
        int status = 0;
        EXPECT_EQ(waitpid(child, &status, 0), child);
        const bool finished = WIFEXITED(status) && WEXITSTATUS(status) == 0;
        EXPECT_TRUE(finished || WEXITSTATUS(status) == 9);

        const int64_t left = newest(run);
        EXPECT_TRUE(left == 1 || (left == 2 && !same_step)) << left;
        EXPECT_TRUE(!finished || same_step || left == 2) << left;
        open_checkpoint(run / "latest");  // the links never dangle
        if (best_step(run)) open_checkpoint(run / "best");
        if (n % 8 == 0) save(run, 3);  // and the next process goes on and cleans up
        files::remove_leftovers(run, "");
        for (const std::string& name : files::list(run)) EXPECT_NE(name[0], '.') << name;
        return finished;
    });
}

TEST(checkpoint, any_operation_fails) {
    until_saved([](const fs::path& run, int n, bool same_step) {
        bool finished = false;
        countdown = n;
        files::before_operation = fail;
        try {
            save_two(run, same_step);
            finished = countdown >= 0;  // a failure at the links is a warning
        } catch (const Error& error) {
            EXPECT_EQ(int(error.code), int(Exit::io)) << error.what();
            EXPECT_NE(std::string(error.what()).find("injected"), std::string::npos) << error.what();
        }
        files::before_operation = nullptr;
        const int64_t left = newest(run);
        EXPECT_TRUE(left == 1 || (left == 2 && !same_step)) << left;
        for (const std::string& name : files::list(run)) EXPECT_FALSE(name.starts_with(".tmp.step_00000002")) << name;
        if (n % 8 == 0) save(run, 3);
        EXPECT_EQ(newest(run), n % 8 ? left : 3);
        return finished;
    });
}
