// The main job as a user runs it, on a model small enough to train in a moment.
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <set>
#include "host/base/run_lock.h"
#include "host/base/signals.h"
#include "host/commands/commands.h"
#include "host/options/options_parse.h"
#include "host/run/tensorboard.h"
#include "host/tokenizer/bpe_train.h"
#include "host/tokenizer/tokenizer_json.h"
#include "run_case.h"

namespace {

TEST(train, learns_saves_and_says_so) {
    Temporary at;
    const Outcome o = run(small(at.path / "run", write_text(at), {"--steps", "60"}));
    EXPECT_EQ(o.code, Exit::done) << o.error;
    const std::string last = o.out.substr(o.out.rfind('\n', o.out.size() - 2) + 1);
    EXPECT_TRUE(last.starts_with("done: step 60, val loss ")) << last;
    EXPECT_NE(last.find("/step_00000060"), std::string::npos) << last;
    const std::vector<Json> log = log_lines(at.path / "run");
    EXPECT_LT(log[log.size() - 4]["loss"].get<double>(), 0.6 * log[1]["loss"].get<double>());
    for (const char* name :
         {"config.json", "model.safetensors", "tokenizer.json", "optimizer.safetensors", "state.json", "manifest.json"})
        EXPECT_TRUE(fs::exists(at.path / "run/latest" / name)) << name;
}

TEST(train, resuming_after_any_step_gives_the_same_bits) {
    Temporary at;
    const fs::path text = write_text(at), whole = at.path / "whole";
    const std::vector<std::string> more{"--save-every", "1", "--keep", "100", "--dropout", "0.1"};
    ASSERT_EQ(run(small(whole, text, more)).code, Exit::done);
    for (int step = 1; step < 8; step++) {  // across the edge of an epoch
        const fs::path cut = at.path / fmt::format("cut{}", step);
        fs::create_directory(cut);
        const std::string name = fmt::format("step_{:08}", step);
        fs::copy(whole / name, cut / name, fs::copy_options::recursive);
        fs::copy(whole / "log.jsonl", cut / "log.jsonl");  // with lines past the checkpoint: they must go
        const Outcome o = run({"--resume", cut.string()});
        ASSERT_EQ(o.code, Exit::done) << o.error;
        EXPECT_EQ(losses(cut), losses(whole)) << "resumed after step " << step;
        EXPECT_EQ(weights_of(cut, 8), weights_of(whole, 8)) << "resumed after step " << step;
    }
}

// The loss of a text that is unlike the training text soon rises; the log says when the run must stop.
TEST(train, stops_early_and_a_resumed_run_stops_there_too) {
    Temporary at;
    const fs::path text = write_text(at), whole = at.path / "whole", other = at.path / "other.txt";
    overwrite(other.string(), std::string(40, 'Z') + std::string(40, '#'));
    const std::vector<std::string> more{"--steps",      "40", "--val",  other.string(), "--early-stop",   "3",
                                        "--save-every", "1",  "--keep", "100",          "--sample-every", "4",
                                        "--tensorboard"};
    const Outcome first = run(small(whole, text, more));
    ASSERT_EQ(first.code, Exit::done) << first.error;
    EXPECT_NE(first.out.find("early stop: no better validation loss than "), std::string::npos) << first.out;
    EXPECT_NE(first.out.find("in 3 validations"), std::string::npos) << first.out;
    int best = 0, stop = 0, worse = 0;
    double best_loss = INFINITY;
    for (const Json& line : log_lines(whole)) {
        if (!line.contains("val_loss") || worse == 3) continue;  // after the last comes one of all the text
        const double loss = line["val_loss"];
        stop = line["step"];
        if (loss < best_loss) best = stop, best_loss = loss, worse = 0;
        else worse++;
    }
    ASSERT_TRUE(worse == 3 && stop < 40) << "it does not get worse";
    std::set<int> sampled;  // also where it stops, once
    for (const Json& line : log_lines(whole)) {
        const bool new_one = !line.contains("sample") || sampled.insert(line["step"].get<int>()).second;
        EXPECT_TRUE(new_one) << line;
    }
    EXPECT_TRUE(sampled.contains(stop));
    const auto name_of_step = [](int step) { return fmt::format("step_{:08}", step); };
    EXPECT_NE(first.out.find(fmt::format("\ndone: step {}, val loss ", stop)), std::string::npos) << first.out;
    EXPECT_EQ(files::link_target((whole / "best").string()), name_of_step(best));
    const auto state = [&](const fs::path& of) {
        return read_json((of / name_of_step(stop) / "state.json").string())["loop"];
    };
    for (const int step : std::set{3, best, best + 1, best + 4, stop - 4, stop - 1}) {
        const fs::path cut = at.path / fmt::format("cut{}", step);
        fs::create_directory(cut);
        fs::copy(whole / name_of_step(step), cut / name_of_step(step), fs::copy_options::recursive);
        fs::copy(whole / "log.jsonl", cut / "log.jsonl");
        const Outcome o = run({"--resume", cut.string()});
        ASSERT_EQ(o.code, Exit::done) << o.error;
        EXPECT_EQ(losses(cut), losses(whole)) << "resumed after step " << step;
        for (const char* key : {"since_best", "best_val", "last_val", "step"})
            EXPECT_EQ(state(cut)[key], state(whole)[key]) << key;
    }
    EXPECT_NE(run({"--resume", whole.string()}).out.find("early stop: "), std::string::npos);
    EXPECT_NE(run({"--resume", whole.string(), "--early-stop", "0"}).out.find("done: step 40"), std::string::npos);
}

// The log and the event files tell of every step once, however often the run was taken up again; samples too.
TEST(train, a_resumed_run_logs_every_step_once) {
    Temporary at;
    const fs::path out = at.path / "run";
    const std::vector<std::string> more{"--steps", "6", "--save-every", "2", "--sample-every", "3", "--tensorboard"};
    ASSERT_EQ(run(small(out, write_text(at), more)).code, Exit::done);
    fs::remove_all(out / "step_00000006");  // as if it had died before the last save
    const Outcome o = run({"--resume", out.string()});
    ASSERT_EQ(o.code, Exit::done) << o.error;
    std::vector<int> steps, samples;
    for (const Json& line : log_lines(out)) {
        if (line.contains("loss")) steps.push_back(line["step"]);
        if (!line.contains("sample")) continue;
        samples.push_back(line["step"]);
        EXPECT_FALSE(line["sample"].get<std::string>().empty());
    }
    EXPECT_EQ(steps, (std::vector<int>{1, 2, 3, 4, 5, 6}));
    EXPECT_EQ(samples, (std::vector<int>{3, 6}));
    int events = 0, texts = 0;
    for (const std::string& name : files::list(out.string())) {
        if (!name.starts_with(EventFile::prefix)) continue;
        const std::string bytes = files::read_file((out / name).string(), 1 << 20);
        for (size_t p = 0; (p = bytes.find("train/loss", p)) != bytes.npos; p++) events++;
        for (size_t p = 0; (p = bytes.find("sample", p)) != bytes.npos; p++) texts++;
    }
    EXPECT_EQ(events, 6);
    EXPECT_EQ(texts, 2);
}

// The tokenizer goes into the checkpoint as the file it was, and back; the first file may be gone.
TEST(train, a_trained_bpe_goes_along) {
    Temporary at;
    const fs::path text = write_text(at), bpe = at.path / "bpe";
    PieceCounts counts;
    count_pieces(counts, "the cat sat on mat 1\n", SplitRule::llama3);
    const std::string json = tokenizer_json(train_bpe({262, 0, SplitRule::llama3, {"<|endoftext|>"}}, counts));
    fs::create_directory(bpe);
    overwrite(bpe / "tokenizer.json", json);
    const Outcome o = run(small(at.path / "run", text, {"--tokenizer", bpe.string()}));
    ASSERT_EQ(o.code, Exit::done) << o.error;
    EXPECT_NE(o.out.find("bpe vocabulary 262"), std::string::npos) << o.out;
    EXPECT_EQ(files::read_file((at.path / "run/latest/tokenizer.json").string(), 1 << 20), json);
    fs::remove_all(bpe);
    EXPECT_EQ(run({"--resume", (at.path / "run").string(), "--steps", "9"}).code, Exit::done);
    EXPECT_EQ(run({"sample", "--model", (at.path / "run/latest").string(), "--device", "cpu", "--prompt", "the cat",
                   "--tokens", "5"})
                  .code,
              Exit::done);
}

TEST(train, micro_batches_and_threads_do_not_change_the_run) {
    Temporary at;
    const fs::path text = write_text(at);
    ASSERT_EQ(run(small(at.path / "whole", text, {"--batch", "4", "--dropout", "0.1"})).code, Exit::done);
    ASSERT_EQ(run(small(at.path / "one", text, {"--batch", "4", "--dropout", "0.1", "--threads", "1"})).code,
              Exit::done);
    ASSERT_EQ(run(small(at.path / "split", text,
                        {"--batch", "1", "--total-batch", "64", "--dropout", "0.1", "--threads", "2"}))
                  .code,
              Exit::done);
    EXPECT_EQ(losses(at.path / "whole"), losses(at.path / "one"));
    const std::vector<Json> whole = log_lines(at.path / "whole"), split = log_lines(at.path / "split");
    ASSERT_EQ(whole.size(), split.size());
    for (size_t i = 0; i < whole.size(); i++)
        for (const char* key : {"loss", "grad_norm", "val_loss"}) {
            if (!whole[i].contains(key)) continue;
            EXPECT_NEAR(whole[i][key].get<double>() / split[i][key].get<double>(), 1, 1e-5) << key << " " << i;
        }
}

TEST(train, a_signal_saves_and_the_run_goes_on_to_the_same_end) {
    Temporary at;
    const fs::path text = write_text(at);
    const std::vector<std::string> long_enough{"--steps", "600", "--eval-every", "40"};  // it goes on during the save
    ASSERT_EQ(run(small(at.path / "whole", text, long_enough)).code, Exit::done);
    catch_signals();
    files::before_operation = [](const char*, const std::string& path) {  // in the midst of the first save
        if (path.find("step_") != std::string::npos) files::before_operation = nullptr, kill(getpid(), SIGTERM);
        while (!files::before_operation && !stop_requested) std::this_thread::yield();
    };
    const Outcome o = run(small(at.path / "cut", text, long_enough));
    ASSERT_EQ(files::before_operation, nullptr);
    EXPECT_EQ(o.code, Exit::stopped) << o.error;
    EXPECT_NE(o.out.find("--resume"), std::string::npos);
    ASSERT_EQ(run({"--resume", (at.path / "cut").string()}).code, Exit::done);
    EXPECT_EQ(losses(at.path / "cut"), losses(at.path / "whole"));
    const Outcome again = run({"--resume", (at.path / "cut").string()});  // there is nothing left to do
    EXPECT_EQ(again.code, Exit::done);
    EXPECT_EQ(losses(at.path / "cut"), losses(at.path / "whole"));
    EXPECT_EQ(run({"--resume", (at.path / "cut").string(), "--steps", "601"}).code, Exit::done);
    EXPECT_TRUE(fs::exists(at.path / "cut/step_00000601"));
}

// At any moment, in the midst of a product too: a step of `tiny` is little else.
TEST(train, a_signal_may_come_at_any_moment) {
#ifdef __SANITIZE_THREAD__
    GTEST_SKIP() << "ThreadSanitizer allows no threads after a fork";
#endif
    Temporary at;
    for (int i = 0; i < 6; i++) {
        const std::string out = (at.path / std::to_string(i)).string();
        const pid_t child = fork();
        if (child == 0) {
            if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr)) _exit(99);
            catch_signals();
            try {
                _exit(int(
                    run_command(parse({"--out", out, "--device", "cpu", "--threads", "1", "--sample-every", "0"}))));
            } catch (const std::exception&) { _exit(98); }
        }
        while (!fs::exists(out + "/log.jsonl")) std::this_thread::yield();
        std::this_thread::sleep_for(std::chrono::milliseconds(100 + 37 * i));
        kill(child, SIGTERM);
        int status = 0;
        ASSERT_EQ(waitpid(child, &status, 0), child);
        ASSERT_TRUE(WIFEXITED(status)) << "ended by signal " << WTERMSIG(status);
        EXPECT_EQ(WEXITSTATUS(status), int(Exit::stopped));
        EXPECT_TRUE(fs::exists(out + "/latest/manifest.json"));
    }
}

TEST(train, not_finite_stops_without_spoiling_a_checkpoint) {
    Temporary at;
    const fs::path text = write_text(at), first = at.path / "first", second = at.path / "second";
    ASSERT_EQ(run(small(first, text)).code, Exit::done);
    const std::string weights = (first / "latest/model.safetensors").string();
    fs::remove(first / "latest/manifest.json");  // which knows what they were
    uint64_t header = 0;
    std::fstream file(weights, std::ios::in | std::ios::out | std::ios::binary);
    file.read(reinterpret_cast<char*>(&header), 8);
    file.seekp(8 + std::streamoff(header));
    for (int i = 0; i < 1000; i++) file.write("\x00\x00\x7f\x7f", 4);  // 3.4e38: its square is infinite
    file.close();
    const Outcome o = run({"--model", (first / "latest").string(), "--data", text.string(), "--out", second.string(),
                           "--batch", "2", "--context", "16", "--steps", "9", "--save-every", "1"});
    EXPECT_EQ(o.code, Exit::numeric) << o.error;
    EXPECT_NE(o.error.find("step 3 (training samples 4 to 5): loss or gradient is not finite"), std::string::npos)
        << o.error;
    for (const Json& line : log_lines(second)) EXPECT_TRUE(!line.contains("loss") || line["loss"].is_null());
}

TEST(train, goes_on_from_saved_weights) {
    Temporary at;
    const fs::path text = write_text(at);
    ASSERT_EQ(run(small(at.path / "first", text)).code, Exit::done);
    const Outcome o = run({"--model", (at.path / "first").string(), "--data", text.string(), "--out",
                           (at.path / "second").string(), "--batch", "2", "--context", "16", "--steps", "1", "--lr",
                           "1e-12", "--min-lr", "0", "--sample-tokens", "4"});
    ASSERT_EQ(o.code, Exit::done) << o.error;
    auto final_validation = [](const fs::path& run) { return losses(run).back().substr(2); };
    EXPECT_EQ(final_validation(at.path / "second"), final_validation(at.path / "first"));
}

TEST(train, samples_are_the_same_again) {
    Temporary at;
    ASSERT_EQ(run(small(at.path / "run", write_text(at), {"--steps", "80"})).code, Exit::done);
    const std::vector<std::string> args{
        "sample", "--model", (at.path / "run").string(), "--prompt", "the c", "--tokens", "40", "--count", "2"};
    const Outcome one = run(args), two = run(args);
    EXPECT_EQ(one.code, Exit::done) << one.error;
    EXPECT_EQ(one.out, two.out);
    EXPECT_TRUE(one.out.starts_with("the c")) << one.out;
}

TEST(train, says_what_is_wrong_and_leaves_things_alone) {
    Temporary at;
    const fs::path text = write_text(at), out = at.path / "run";
    std::ofstream(at.path / "short.txt") << "too short";
    const struct {
        std::vector<std::string> args;
        Exit code;
        const char* says;
    } cases[] = {
        {small(out, at.path / "absent.txt"), Exit::input, "absent.txt"},
        {small(out, at.path / "short.txt"), Exit::input, "short.txt"},
        {small(out, text, {"--model", "tinny"}), Exit::usage, "tinny"},
        {small(out, text, {"--heads", "3"}), Exit::usage, "heads"},
        {{"--resume", (at.path / "nowhere").string()}, Exit::input, "nowhere"},
        {{"sample", "--model", (at.path / "nowhere").string()}, Exit::input, "nowhere"},
        {small(out, text, {"--device", find_gpu().kind == GpuFound::Kind::real ? "simt" : "cuda"}), Exit::device,
         "--device"},
        {small(out, text, {"--device", kernels_of(find_gpu()) == "ptx" ? "simt" : "ptx"}), Exit::device,
         "builds the one"},
    };
    for (const auto& c : cases) {
        const Outcome o = run(c.args);
        EXPECT_EQ(o.code, c.code) << c.says << ": " << o.error;
        EXPECT_NE(o.error.find(c.says), std::string::npos) << o.error;
        EXPECT_FALSE(fs::exists(out)) << c.says;
    }
}

TEST(train, never_writes_over_a_run) {
    Temporary at;
    const fs::path text = write_text(at), out = at.path / "run";
    ASSERT_EQ(run(small(out, text)).code, Exit::done);
    const uint64_t before = weights_of(out, 8);
    EXPECT_EQ(run(small(out, text)).code, Exit::usage);
    EXPECT_EQ(weights_of(out, 8), before);
    {
        const files::RunLock held(out.string());
        EXPECT_EQ(run({"--resume", out.string()}).code, Exit::locked);
        EXPECT_EQ(run(small(out, text, {"--overwrite"})).code, Exit::locked);
    }
    std::ofstream(out / "notes.txt") << "mine";
    const fs::path theirs = out / "events.out.tfevents.1.somebody";
    overwrite(theirs.string(), "");
    EXPECT_EQ(run(small(out, text, {"--steps", "3", "--overwrite"})).code, Exit::done);
    EXPECT_TRUE(fs::exists(theirs));
    EXPECT_TRUE(fs::exists(out / "notes.txt"));
    EXPECT_FALSE(fs::exists(out / "step_00000008"));
    const Outcome other = run({"--resume", out.string(), "--seed", "99"});
    EXPECT_EQ(other.code, Exit::usage);
    EXPECT_NE(other.error.find("seed"), std::string::npos) << other.error;
}
}  // namespace
