// Killed at every one of its steps, and once more soon after, a run ends with the same bits: losses, norms, the log and
// every byte of the last checkpoint. Its forty steps cross the edges of shards and of epochs, the end of warm-up,
// evaluations, the best so far and saves, with gradients accumulated over two micro-batches.
//     EXACT_RESUME=all ./test_gpt_simt --gtest_filter='exact_resume.*'      every step on the kernels too: `make soak`
#include <fmt/core.h>
#include "child_case.h"
#include "dev/test/support/shims.h"
#include "host/checkpoint/checkpoint.h"
#include "run_case.h"
#include "twins.h"

namespace {

// Three shards, the last one shorter; an epoch takes 14 steps.
struct Runs {
    Temporary at;
    RunsOn on;
    std::vector<std::string> more;
    int steps = 0;  // that it makes before it ends

    Runs(const RunsOn& on, const std::vector<std::string>& more) : on(on), more(more) {
        const fs::path text = at.path / "text.txt";
        std::ofstream file(text);
        for (int i = 0; i < 40; i++) file << "the cat sat on the mat " << i % 10 << "\n";
        file.close();
        const Outcome o = run({"tokenize", "--tokenizer", "byte", "--separator", "none", "--data", text.string(),
                               "--shard-tokens", "390", "--out", (at.path / "shards").string()});
        EXPECT_EQ(o.code, Exit::done) << o.error;
        EXPECT_EQ(go_on(at.path / "calm"), 0);
        for (const Json& line : log_lines(at.path / "calm"))
            if (line.contains("loss")) steps = line["step"];
    }

    std::vector<std::string> args(const fs::path& out) const {
        std::vector<std::string> flags{"--layers",     "1",      "--batch",          "2",   "--total-batch", "64",
                                       "--steps",      "40",     "--warmup",         "5",   "--lr",          "0.02",
                                       "--eval-every", "4",      "--eval-sequences", "2",   "--save-every",  "3",
                                       "--keep",       "2",      "--dropout",        "0.1", "--device",      on.device,
                                       "--dtype",      on.dtype, "--self-check",     "off"};
        flags.insert(flags.end(), more.begin(), more.end());
        return small(out, at.path / "shards/*.bin", flags);
    }
    // Goes on, and is killed when the log is given the line of step k: before it is there, or after. k = 0: not at all.
    int go_on(const fs::path& out, int k = 0, shims::Death when = shims::Death::before) const {
        std::vector<std::string> how = args(out);
        if (fs::exists(out) && !list_checkpoints(out.string()).empty())
            how = {"--resume", out.string(), "--device", on.device, "--self-check", "off"};
        else if (fs::exists(out)) how.push_back("--overwrite");
        Child child(how, [&] {
            if (!freopen((at.path / "said").c_str(), "w", stderr)) _exit(98);
            if (k > 0) shims::die_at(fmt::format("{{\"step\":{},\"loss\":", k), when);
        });
        return child.wait();
    }

    std::string said() const { return files::read_file((at.path / "said").string(), 1 << 20); }

    void kill_at(int k) const {
        SCOPED_TRACE(fmt::format("{} {}: killed at step {}", on.device, on.dtype, k));
        const fs::path out = at.path / "killed";
        fs::remove_all(out);
        const auto when = [](bool before) { return before ? shims::Death::before : shims::Death::after; };
        ASSERT_EQ(go_on(out, k, when(k % 2 == 0)), -SIGKILL) << said();
        if (k + 2 <= steps) { ASSERT_EQ(go_on(out, k + 2, when(k % 4 < 2)), -SIGKILL) << "again: " << said(); }
        ASSERT_EQ(go_on(out), 0) << said();
        EXPECT_EQ(difference_of(at.path / "calm", out), "");
    }
};

bool all_steps() { return std::getenv("EXACT_RESUME") != nullptr; }

}  // namespace

TEST(exact_resume, after_a_kill_at_every_step) {
    SKIP_WHERE_NOTHING_IS_SHIMMED();
    const Runs runs({}, {});
    ASSERT_EQ(runs.steps, 40);
    for (int k = 1; k <= 40; k++) runs.kill_at(k);
}

TEST(exact_resume, of_a_run_that_stops_early) {
    SKIP_WHERE_NOTHING_IS_SHIMMED();
    const Runs runs({}, {"--save-every", "1", "--early-stop", "2", "--lr", "0.1", "--schedule", "constant",
                         "--spike-window", "3", "--spike-factor", "1.5"});
    ASSERT_GT(runs.steps, 8);
    ASSERT_LT(runs.steps, 40);
    for (int k = 1; k <= runs.steps; k++) runs.kill_at(k);
}

// Steps around a save, an evaluation, and the end of the first epoch; each with EXACT_RESUME=all.
TEST(exact_resume, on_the_kernels) {
    SKIP_WHERE_NOTHING_IS_SHIMMED();
    const GpuFound gpu = find_gpu();
    if (gpu.kind != GpuFound::Kind::simulated) GTEST_SKIP() << "a GPU does not outlive a fork";
    for (const char* dtype : {"fp32", "bf16"}) {
        const Runs runs({kernels_of(gpu), dtype}, {"--steps", all_steps() ? "40" : "12"});
        for (int k = 1; k <= runs.steps; k++)
            if (all_steps() || k == 4 || k == 8 || k == 11) runs.kill_at(k);
    }
}
