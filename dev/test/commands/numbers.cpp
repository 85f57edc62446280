// Numbers that go wrong while a run trains: what is left out, what is said, and what is kept.
#include <fmt/core.h>
#include <cmath>
#include "child_case.h"
#include "dev/test/support/text_search.h"
#include "host/checkpoint/checkpoint.h"
#include "host/run/snapshot.h"
#include "host/run/spikes.h"
#include "host/run/step_watch.h"

namespace {

// Weights grow a hundred thousand times in a step, until nothing is finite.
const std::vector<std::string> explodes{"--weight-decay", "100", "--lr",         "99", "--min-lr",       "99",
                                        "--warmup",       "0",   "--save-every", "1",  "--sample-every", "0",
                                        "--steps",        "60"};

const Json& line_of_step(const std::vector<Json>& log, int step) {
    for (const Json& line : log)
        if (line.contains("loss") && line["step"] == step) return line;
    throw Error(Exit::internal, "log", "has no line of that step");
}

}  // namespace

TEST(numbers, three_that_are_not_finite_end_the_run_and_a_good_checkpoint_stays) {
    // A save takes longer than the step after it, or ends before.
    for (const auto& [keep, tokens] : {std::pair{"1", "32"}, {"2", "32"}, {"1", "8192"}}) {
        const Temporary at;
        std::vector<std::string> args = explodes;
        args.insert(args.end(), {"--keep", keep, "--total-batch", tokens});
        const fs::path text = write_text(at), out = at.path / "run";
        const Outcome o = run(small(out, text, args));
        ASSERT_EQ(o.code, Exit::numeric) << o.error;
        EXPECT_TRUE(has(o.error, "loss or gradient is not finite (first: ")) << o.error;
        EXPECT_TRUE(has(o.error, "for the third time in a row (first: ")) << o.error;
        EXPECT_TRUE(has(o.error, "training samples ")) << o.error;
        EXPECT_TRUE(has(o.error, "older checkpoints are kept")) << o.error;
        const std::vector<Checkpoint> left = list_checkpoints(out.string());
        ASSERT_GE(left.size(), 2u);
        const Outcome eval = run({"eval", "--model", left.front().path, "--data", text.string()});
        EXPECT_EQ(eval.code, Exit::done) << left.front().path << ": " << eval.error;
        EXPECT_FALSE(has(eval.out, "nan nats") || has(eval.out, "inf nats")) << eval.out;
        EXPECT_EQ(read_state(left.front())["loop"]["skipped_in_a_row"], 0);
    }
}

TEST(numbers, a_step_that_is_not_finite_changes_no_weight) {
    const Temporary at;
    std::vector<std::string> args = explodes;
    args.insert(args.end(), {"--keep", "99"});
    const fs::path out = at.path / "run";
    ASSERT_EQ(run(small(out, write_text(at), args)).code, Exit::numeric);
    int left_out = 0;
    for (const Json& line : log_lines(out)) {
        if (!line.contains("left_out")) continue;
        EXPECT_EQ(line["left_out"], "not finite");
        const int step = line["step"];
        if (++left_out < 3) { EXPECT_EQ(weights_of(out, step), weights_of(out, step - 1)) << step; }
    }
    EXPECT_EQ(left_out, 3);
}

TEST(numbers, spikes_are_left_out_and_counted) {
    const Temporary at;
    const fs::path out = at.path / "run";
    const Outcome o = run(small(out, write_text(at),
                                {"--steps", "24", "--save-every", "1", "--keep", "99", "--spike-window", "4",
                                 "--spike-factor", "0.5", "--lr", "0.002"}));
    ASSERT_EQ(o.code, Exit::done) << o.error;
    const std::vector<Json> log = log_lines(out);
    int left_out = 0;
    for (int step = 1; step <= 24; step++) {
        const bool spike = line_of_step(log, step).contains("left_out");
        left_out += spike;
        if (step > 1) { EXPECT_EQ(weights_of(out, step) == weights_of(out, step - 1), spike) << step; }
        if (step <= 4) { EXPECT_FALSE(spike) << "the window is not full yet"; }
    }
    EXPECT_GT(left_out, 0);
    EXPECT_LT(left_out, 20);
    EXPECT_EQ(read_json((out / "latest/state.json").string())["loop"]["spikes"], left_out);
    EXPECT_TRUE(has(o.out, fmt::format("{} spikes", left_out))) << o.out;
    EXPECT_TRUE(has(o.error, "is a spike; the weights stay as they are")) << o.error;
}

TEST(numbers, a_window_of_spikes) {
    const SpikeWindow::Rule rule{3, 2};
    SpikeWindow window;
    for (const double loss : {1.0, 1.2, 1.1}) {
        EXPECT_FALSE(window.is_spike(rule, 1e9, 1e9)) << "it is not full";
        window.add(rule, loss, 10 * loss, false);
    }
    EXPECT_FALSE(window.is_spike(rule, 1.2, 12));
    EXPECT_TRUE(window.is_spike(rule, 1.3, 12));  // a mean of 1.1, a deviation of 0.082
    EXPECT_TRUE(window.is_spike(rule, 1.1, 13));
    EXPECT_FALSE(window.is_spike({0, 2}, 1e9, 1e9));
    const SpikeWindow again = SpikeWindow::from_json(window.to_json(), "a test");
    EXPECT_EQ(again.to_json(), window.to_json());
    EXPECT_TRUE(again.is_spike(rule, 1.3, 12));
    for (int i = 0; i < 2; i++) window.add(rule, 9, 90, true);
    EXPECT_TRUE(window.is_spike(rule, 9, 90)) << "what is left out does not count";
    window.add(rule, 9, 90, true);  // as many as it holds: that is how it is now
    EXPECT_FALSE(window.is_spike(rule, 9, 90));
}

// Computing steps twice changes nothing.
TEST(numbers, verified_steps_are_the_same) {
    const Temporary at;
    const fs::path text = write_text(at);
    const GpuFound gpu = find_gpu();
    std::vector<std::string> devices{"cpu"};
    if (gpu.kind != GpuFound::Kind::none) devices.push_back(kernels_of(gpu));
    for (const std::string& device : devices) {
        const auto out = [&](const char* name) { return at.path / (device + name); };
        const std::vector<std::string> flags{"--device", device, "--dropout",     "0.1",
                                             "--steps",  "6",    "--total-batch", "64"};
        std::vector<std::string> verified = flags;
        verified.insert(verified.end(), {"--verify-every", "2"});
        ASSERT_EQ(run(small(out("plain"), text, flags)).code, Exit::done);
        const Outcome o = run(small(out("twice"), text, verified));
        ASSERT_EQ(o.code, Exit::done) << o.error;
        EXPECT_EQ(losses(out("plain")), losses(out("twice")));
        EXPECT_EQ(weights_of(out("plain"), 6), weights_of(out("twice"), 6));
    }
}

TEST(numbers, flags_that_say_nothing_are_refused) {
    const Temporary at;
    const fs::path text = write_text(at), out = at.path / "run";
    EXPECT_TRUE(has(run(small(out, text, {"--spike-factor", "3"})).error, "give --spike-window"));
    EXPECT_TRUE(has(run(small(out, text, {"--spike-window", "1"})).error, "give at least 2"));
    EXPECT_FALSE(fs::exists(out));
}

TEST(step_watch, calls_when_a_step_takes_too_long) {
    std::atomic<int> calls = 0;
    constexpr double limit = 0.05;
    for (bool in_time = false; !in_time;) {  // on a busy machine a step of 10 ms may be too long: then once more
        calls = 0;
        StepWatch watch(limit, [&] { calls++; });
        double begun = seconds(), longest = 0;
        watch.begin();
        for (int i = 0; i < 8; i++) {
            sleep_ms(10);
            const double next = seconds();
            if (i < 7) watch.begin();
            else watch.pause();
            longest = std::max(longest, seconds() - begun), begun = next;
        }
        in_time = longest < limit;
        if (!in_time) continue;
        sleep_ms(100);
        EXPECT_EQ(calls, 0);
        watch.begin();
        EXPECT_TRUE(comes_true([&] { return calls == 1; }));
    }
    const StepWatch none(0, [&] { calls++; });
    EXPECT_EQ(calls, 1);
}

TEST(step_watch, lets_a_save_end_first) {
    SKIP_WHERE_A_CHILD_HAS_NO_THREADS();
    const Temporary at;
    const fs::path saved = at.path / "saved";
    const pid_t child = fork();
    if (child == 0) {
        if (!freopen("/dev/null", "w", stderr)) _exit(99);
        auto saving = std::make_unique<Saving>();
        const std::thread thread([&] {
            sleep_ms(400);
            std::ofstream(saved) << "all of it";
            saving.reset();
        });
        end_a_hung_run(0.1);
    }
    EXPECT_EQ(code_of(child), int(Exit::device));
    EXPECT_TRUE(fs::exists(saved));
}

// Only steps count: an evaluation may take as long as it likes.
TEST(step_watch, does_not_watch_an_evaluation) {
    SKIP_WHERE_A_CHILD_HAS_NO_THREADS();
    const Temporary at;
    const fs::path text = at.path / "long.txt", out = at.path / "run";
    std::ofstream file(text);
    for (int i = 0; i < 60000; i++) file << "the cat sat on the mat\n";
    file.close();
    Child child(small(out, write_text(at),
                      {"--val", text.string(), "--steps", "2", "--warmup", "0", "--eval-every", "1", "--eval-sequences",
                       "0", "--step-timeout", "0.5", "--layers", "1"}));
    EXPECT_EQ(child.wait(), 0);
    for (const Json& line : log_lines(out))
        if (line.contains("val_loss")) { EXPECT_GT(line["ms"], 500) << "shows nothing: it needs more text"; }
}

TEST(step_watch, ends_a_run_that_hangs) {
    SKIP_WHERE_A_CHILD_HAS_NO_THREADS();
    const Temporary at;
    Child child({"--batch", "64", "--total-batch", "2097152", "--device", "cpu", "--step-timeout", "0.3", "--steps",
                 "3", "--out", at / "run"});
    EXPECT_EQ(child.wait(), int(Exit::device));
}
