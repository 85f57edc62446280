// Runs with --optimizer muon: resumed to the same bits, with what they need in the checkpoint and no more.
#include <fmt/core.h>
#include "dev/test/support/text_search.h"
#include "expect_refusal.h"
#include "host/checkpoint/checkpoint.h"
#include "host/checkpoint/safetensors.h"
#include "run_case.h"

namespace {

// Flags beside --optimizer muon.
fs::path train(const Temporary& at, const std::string& name, std::vector<std::string> more = {}) {
    const fs::path out = at.path / name;
    more.insert(more.begin(), {"--optimizer", "muon", "--muon-lr", "0.02", "--save-every", "1", "--keep", "99"});
    const Outcome o = run(small(out, write_text(at), more));
    EXPECT_EQ(o.code, Exit::done) << o.error;
    return out;
}

// A copy of a run as it was after a step.
fs::path cut_at(const fs::path& run, int step) {
    const fs::path cut = run.string() + fmt::format("_cut_at_{}", step);
    fs::create_directory(cut);
    fs::copy(run / checkpoint_name(step), cut / checkpoint_name(step), fs::copy_options::recursive);
    fs::copy(run / "log.jsonl", cut / "log.jsonl");
    return cut;
}

void expect_same_when_resumed(const fs::path& whole, int step, int last = 8) {
    const fs::path cut = cut_at(whole, step);
    const Outcome o = run({"--resume", cut.string()});
    ASSERT_EQ(o.code, Exit::done) << o.error;
    EXPECT_EQ(losses(cut), losses(whole)) << step;
    EXPECT_EQ(weights_of(cut, last), weights_of(whole, last)) << step;
}

TEST(muon, resumed_to_the_same_bits) {
    const Temporary at;
    const fs::path whole = train(at, "whole");
    for (const int step : {1, 5}) expect_same_when_resumed(whole, step);
    const fs::path swiglu = train(at, "swiglu", {"--activation", "swiglu", "--heads", "4", "--kv-heads", "2"});
    expect_same_when_resumed(swiglu, 3);
    EXPECT_NE(losses(swiglu), losses(whole));
}

TEST(muon, resumed_to_the_same_bits_on_kernels) {
    const GpuFound gpu = find_gpu();
    if (gpu.kind == GpuFound::Kind::none) GTEST_SKIP() << gpu.text;
    const Temporary at;
    const std::vector<std::string> few{"--steps", "4", "--eval-every", "0", "--sample-tokens", "0"};
    const fs::path cpu = train(at, "cpu", few);
    for (const std::string dtype : {"fp32", "bf16"}) {
        std::vector<std::string> flags{"--device", kernels_of(gpu), "--dtype", dtype};
        flags.insert(flags.end(), few.begin(), few.end());
        const fs::path whole = train(at, dtype, flags);
        expect_same_when_resumed(whole, 2, 4);
        const std::vector<Json> mine = log_lines(whole), theirs = log_lines(cpu);
        for (size_t i = 1; i < theirs.size(); i++) {
            if (!theirs[i].contains("loss")) continue;
            EXPECT_NEAR(mine[i]["loss"].get<double>() / theirs[i]["loss"].get<double>(), 1,
                        dtype == "fp32" ? 1e-4 : 2e-2)
                << dtype << " " << i;
        }
    }
}

TEST(muon, any_number_of_threads_gives_the_same_bits) {
    const Temporary at;
    const fs::path one = train(at, "one", {"--threads", "1"}), three = train(at, "three", {"--threads", "3"});
    EXPECT_EQ(losses(one), losses(three));
    EXPECT_EQ(weights_of(one, 8), weights_of(three, 8));
}

// Matrices inside blocks have one moment, all else has two.
TEST(muon, a_checkpoint_holds_what_there_is) {
    const Temporary at;
    const fs::path out = train(at, "run");
    const safetensors::Reader reader((out / checkpoint_name(8) / "optimizer.safetensors").string());
    for (const char* name : {"m.wte", "v.wte", "m.h.0.qkv.weight", "m.h.1.down.weight", "v.h.1.down.bias"})
        EXPECT_TRUE(reader.find(name)) << name;
    for (const char* name : {"v.h.0.qkv.weight", "v.h.0.proj.weight", "v.h.1.up.weight", "v.h.1.down.weight"})
        EXPECT_FALSE(reader.find(name)) << name;
}

TEST(muon, a_run_keeps_its_optimizer) {
    const Temporary at;
    const fs::path muon = train(at, "muon"), adamw = at.path / "adamw";
    ASSERT_EQ(run(small(adamw, write_text(at), {"--save-every", "4"})).code, Exit::done);
    const auto refused = [](const fs::path& path, const std::string& other, const std::string& why) {
        const Outcome o = run({"--resume", path.string(), "--optimizer", other, "--steps", "12"});
        EXPECT_EQ(o.code, Exit::usage);
        EXPECT_TRUE(has(o.error, why)) << o.error;
    };
    refused(muon, "adamw", "this is not the run that was saved (optimizer: \"muon\" in the checkpoint, \"adamw\" now)");
    refused(adamw, "muon", "this is not the run that was saved (optimizer: \"adamw\" in the checkpoint, \"muon\" now)");
    const Outcome rate = run({"--resume", adamw.string(), "--muon-lr", "0.1", "--steps", "12"});
    EXPECT_EQ(rate.code, Exit::usage);
    EXPECT_TRUE(has(rate.error, "--muon-lr: nothing is stepped by Muon")) << rate.error;
}

// A step that does not count changes nothing that is saved.
TEST(muon, steps_left_out_change_nothing) {
    const Temporary at;
    const fs::path out = train(at, "run", {"--steps", "24", "--spike-window", "4", "--spike-factor", "0.5"});
    int left_out = 0;
    for (const Json& line : log_lines(out)) {
        if (!line.contains("loss")) continue;
        const int step = line["step"];
        const bool spike = line.contains("left_out");
        left_out += spike;
        if (step > 1) { EXPECT_EQ(weights_of(out, step) == weights_of(out, step - 1), spike) << step; }
    }
    EXPECT_GT(left_out, 0);
    EXPECT_LT(left_out, 20);
}

TEST(muon, its_rate_follows_the_schedule_of_the_rest) {
    const Temporary at;
    const fs::path one = train(at, "one", {"--muon-lr", "0.03"}),
                   other = train(at, "other", {"--muon-lr", "0.0300001"});
    EXPECT_NE(losses(one), losses(other));
    const fs::path shared = at.path / "shared";  // without --muon-lr it is three times --lr
    ASSERT_EQ(run(small(shared, write_text(at), {"--optimizer", "muon"})).code, Exit::done);
    EXPECT_EQ(losses(shared), losses(one));
}

TEST(muon, bad_flags_are_refused) {
    const auto refused = [](const Args& flags, const std::string& why) { expect_refusal(flags, {why}); };
    for (const std::string value : {"-1", "0", "100", "nan", "x", ""})
        refused({"--optimizer", "muon", "--muon-lr=" + value}, "--muon-lr: ");
    for (const std::string value : {"-0.1", "1", "much"})
        refused({"--optimizer", "muon", "--muon-momentum=" + value}, "--muon-momentum: ");
    refused({"--optimizer", "moun"}, "--optimizer: ");
    refused({"--optimizer", "muon", "--muon-scale", "big"}, "--muon-scale: ");
    refused({"--muon-lr", "0.01"}, "--muon-lr: nothing is stepped by Muon; leave it out, or add --optimizer muon");
    refused({"--muon-momentum", "0.9"}, "--muon-momentum: nothing is stepped by Muon");
    refused({"--optimizer", "adamw", "--muon-scale", "rms"}, "--muon-scale: nothing is stepped by Muon");
    refused({"--optimizer", "muon", "--ranks", "4"}, "--optimizer: muon steps whole matrices");
    refused({"plan", "--optimizer", "muon", "--ranks", "4"}, "--optimizer: muon steps whole matrices");
}

}  // namespace
