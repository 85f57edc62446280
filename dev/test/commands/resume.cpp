// What may change when a run is resumed, and what it does to the learning rate.
#include <fmt/core.h>
#include <chrono>
#include <map>
#include <thread>
#include "dev/test/support/text_search.h"
#include "host/base/json.h"
#include "host/checkpoint/checkpoint.h"
#include "host/training/schedule.h"
#include "run_case.h"

namespace {

// The learning rates of a run's log, by step.
std::map<int, double> rates(const fs::path& run) {
    std::map<int, double> all;
    std::ifstream file(run / "log.jsonl");
    for (std::string text; std::getline(file, text);)
        if (const Json line = Json::parse(text); line.contains("lr")) all[line["step"]] = line["lr"];
    return all;
}

// A run of 20 steps that stands at step `at`, each time a fresh copy of it.
struct Resumed {
    Temporary folder;
    fs::path text = write_text(folder), whole = folder.path / "whole";
    int copies = 0;
    explicit Resumed(const std::vector<std::string>& more = {}) {
        std::vector<std::string> flags{"--steps", "20",   "--warmup",     "4",    "--save-every",    "1",
                                       "--keep",  "99",   "--eval-every", "0",    "--sample-tokens", "0",
                                       "--lr",    "0.01", "--min-lr",     "0.001"};
        for (size_t i = 0; i + 1 < more.size(); i += 2) {
            const auto known = std::find(flags.begin(), flags.end(), more[i]);
            if (known == flags.end()) flags.insert(flags.end(), {more[i], more[i + 1]});
            else *(known + 1) = more[i + 1];
        }
        const Outcome o = run(small(whole, text, flags));
        EXPECT_EQ(o.code, Exit::done) << o.error;
    }
    fs::path copy_at(int step) {
        const fs::path copy = folder.path / fmt::format("copy{}", copies++), name = checkpoint_name(step);
        fs::create_directory(copy);
        fs::copy(whole / name, copy / name, fs::copy_options::recursive);
        fs::copy(whole / "log.jsonl", copy / "log.jsonl");
        return copy;
    }
    std::pair<std::map<int, double>, std::string> go_on(const fs::path& from, const std::vector<std::string>& flags) {
        std::vector<std::string> args{"--resume", from.string()};
        args.insert(args.end(), flags.begin(), flags.end());
        const Outcome o = run(args);
        EXPECT_EQ(o.code, Exit::done) << o.error;
        return {rates(from), o.out};
    }
};

// More steps: whatever the schedule and wherever the seam, the rate does not leap there nor later.
TEST(resume, more_steps_without_a_leap) {
    for (const std::string schedule : {"cosine", "linear", "constant", "wsd"}) {
        Resumed r({"--schedule", schedule});
        const std::map<int, double> before = rates(r.whole);
        for (const int step : {2, 9, 20}) {
            SCOPED_TRACE(schedule + " resumed after step " + std::to_string(step));
            const auto [rate, said] = r.go_on(r.copy_at(step), {"--steps", "60", "--save-every", "0"});
            ASSERT_EQ(rate.size(), 60u);
            for (int i = 1; i <= step; i++) { EXPECT_EQ(rate.at(i), before.at(i)); }
            if (step < 20) { EXPECT_NEAR(rate.at(step + 1), before.at(step + 1), 0.12 * before.at(step + 1)); }
            for (int i = std::max(step, 4); i < 60; i++) EXPECT_LE(rate.at(i + 1), rate.at(i) * (1 + 1e-6)) << i;
            for (int i = 1; i <= 4; i++) EXPECT_NEAR(rate.at(i), 0.0025 * i, 1e-8);  // the warm-up is what it was
            if (schedule != "constant") { EXPECT_LT(rate.at(60), 0.0024); }
            EXPECT_TRUE(has(said, fmt::format("rate    from step {} on: ", step + 1))) << said;
        }
    }
}

// The run that was made longer is itself a run: cut anywhere it has the same rates,
// and flags said again change nothing.
TEST(resume, a_longer_run_resumed_has_the_same_rates) {
    Resumed r;
    const fs::path longer = r.copy_at(9);
    const auto [rate, said] = r.go_on(longer, {"--steps", "40"});
    for (const int step : {10, 25, 39}) {
        const fs::path cut = r.folder.path / fmt::format("cut{}", step);
        fs::create_directory(cut);
        fs::copy(longer / checkpoint_name(step), cut / checkpoint_name(step), fs::copy_options::recursive);
        fs::copy(longer / "log.jsonl", cut / "log.jsonl");
        const auto [again, words] = r.go_on(
            cut, step == 25 ? std::vector<std::string>{"--steps", "40", "--warmup", "4"} : std::vector<std::string>{});
        EXPECT_EQ(again, rate) << step;
        EXPECT_FALSE(has(words, "rate    ")) << words;
    }
}

TEST(resume, a_rate_of_ones_own) {
    Resumed r;
    const auto warm = r.go_on(r.copy_at(20), {"--steps", "60", "--warmup", "10"});  // climbs again
    EXPECT_NEAR(warm.first.at(30), 0.01, 1e-8);
    EXPECT_GT(warm.first.at(21), warm.first.at(20));
    EXPECT_LT(warm.first.at(21), 0.0025);
    EXPECT_TRUE(has(warm.second, "up to 0.01 in step 30")) << warm.second;
    const auto lower = r.go_on(r.copy_at(9), {"--lr", "0.002", "--schedule", "constant", "--min-lr", "0"});
    for (int i = 10; i <= 20; i++) EXPECT_NEAR(lower.first.at(i), 0.002, 1e-9);
    const auto bottom = r.go_on(r.copy_at(9), {"--min-lr", "0"});
    EXPECT_LT(bottom.first.at(20), 0.0005);
    const Outcome high = run({"--resume", r.copy_at(9).string(), "--min-lr", "0.02", "--lr", "0.03"});
    EXPECT_EQ(high.code, Exit::done) << high.error;
    EXPECT_TRUE(has(run({"--resume", r.copy_at(9).string(), "--min-lr", "0.02"}).error, "--min-lr: 0.02 is above "));
    const Outcome o = run({"--resume", r.copy_at(9).string(), "--warmup", "12"});
    EXPECT_EQ(o.code, Exit::usage);
    EXPECT_TRUE(has(o.error, "--warmup: 12 steps are more than the 11 that are left")) << o.error;
}

// Checkpoints of before the rate was saved: their flags say it.
TEST(resume, a_state_without_a_rate) {
    Resumed r;
    const fs::path old = r.copy_at(9), dir = old / checkpoint_name(9);
    Json state = read_json((dir / "state.json").string()), manifest = read_json((dir / "manifest.json").string());
    state.erase("rate");
    overwrite((dir / "state.json").string(), to_text(state));
    manifest["files"]["state.json"] = {{"bytes", to_text(state).size()},
                                       {"xxh64", files::hex(files::hash(to_text(state)))}};
    manifest.erase("xxh64");
    manifest["xxh64"] = files::hex(files::hash(to_text(manifest)));
    overwrite((dir / "manifest.json").string(), to_text(manifest));
    EXPECT_EQ(r.go_on(old, {}).first, rates(r.whole));
}

TEST(resume, a_run_keeps_its_tokenizer) {
    Temporary at;
    const fs::path out = at.path / "run";
    ASSERT_EQ(run(small(out, write_text(at))).code, Exit::done);
    const Outcome o = run({"--resume", out.string(), "--tokenizer", "word", "--steps", "9"});
    EXPECT_EQ(o.code, Exit::usage);
    EXPECT_TRUE(has(o.error, "--tokenizer: a run keeps its tokenizer, which was given as \"byte\"")) << o.error;
    EXPECT_EQ(run({"--resume", out.string(), "--tokenizer", "byte", "--steps", "9"}).code, Exit::done);
}

// A step may be long: a signal ends it between two micro-batches, and it is done again later.
TEST(resume, after_a_signal_within_a_long_step) {
    Temporary at;
    const fs::path out = at.path / "run";
    std::thread stopper([&] {
        for (int i = 0; i < 600 && !fs::exists(out / "log.jsonl"); i++)
            std::this_thread::sleep_for(std::chrono::milliseconds(100));
        std::this_thread::sleep_for(std::chrono::milliseconds(300));
        stop_requested = true;
    });
    const std::vector<std::string> args{"--batch",   "1", "--total-batch", "268435456",
                                        "--threads", "1", "--out",         out.string()};
    const Outcome o = run(args);  // 2^21 micro-batches, hours
    stopper.join();
    EXPECT_EQ(o.code, Exit::stopped) << o.error;
    EXPECT_TRUE(has(o.out, "stopped: step 0, saved ")) << o.out;
    EXPECT_TRUE(fs::exists(out / "step_00000000/manifest.json"));
}

TEST(resume, of_steps_that_cannot_be_counted) {
    Temporary at;
    const fs::path text = write_text(at);
    std::vector<std::string> args = small(at.path / "run", text, {"--epochs", "999999"});
    args.erase(std::find(args.begin(), args.end(), "--steps"), std::find(args.begin(), args.end(), "--steps") + 2);
    std::vector<std::string> warm = args;
    *(std::find(warm.begin(), warm.end(), "--epochs") + 1) = "2";
    *(std::find(warm.begin(), warm.end(), "--warmup") + 1) = "50";
    const Outcome o = run(warm);
    EXPECT_EQ(o.code, Exit::usage);
    EXPECT_TRUE(has(o.error, "--warmup: 50 steps are more than the 9 of --epochs 2")) << o.error;
    std::string long_text;
    for (int i = 0; i < 2000; i++) long_text += "the cat sat on the mat with number " + std::to_string(i) + "\n";
    overwrite(text.string(), long_text);
    const Outcome epochs = run(args);
    EXPECT_EQ(epochs.code, Exit::usage);
    EXPECT_TRUE(has(epochs.error, "more than 2147483647; example: --epochs ")) << epochs.error;
    EXPECT_FALSE(fs::exists(at.path / "run"));
}

}  // namespace
