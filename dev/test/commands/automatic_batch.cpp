// --batch auto in a run: what it takes of the memory there is, and that the run stays as it was begun.
//     ./test_gpt --gtest_filter='automatic_batch*'
#include "dev/test/support/text_search.h"
#include "host/checkpoint/checkpoint.h"
#include "host/plan/plan.h"
#include "host/run/available_memory.h"
#include "host/run/run_setup.h"
#include "run_case.h"

namespace {

// 12 sequences of 16 a step, in so much memory.
RunSetup set_up(const fs::path& data, uint64_t bytes, std::vector<std::string> changes = {"--total-batch", "192"},
                bool of_host = false) {
    changes.insert(changes.end(), {"--batch", "auto"});
    Options o = parse(small("run", data, changes));
    o.dtype = Dtype::fp32;
    Progress progress;
    return set_up_run(o, {}, progress, [=] { return MemoryOfRank{bytes, of_host}; });
}
uint64_t needed(const RunSetup& run, int batch, Recompute recompute) {
    Config c = run.config;
    c.T = run.T;
    return uint64_t(double(make_plan(c, batch, Dtype::fp32, recompute).memory.total()) / (1 - reserved_memory)) + 1;
}

TEST(automatic_batch, takes_what_fits) {
    const Temporary at;
    const fs::path text = write_text(at);
    const RunSetup all = set_up(text, uint64_t(1) << 40);
    EXPECT_TRUE(all.B == 12 && all.sequences == 12 && all.options.recompute == Recompute::none);
    EXPECT_EQ(all.options.batch, 12);
    EXPECT_EQ(all.options.total_batch, 192);
    for (const int batch : {1, 2, 3, 4, 6}) {
        const uint64_t enough = needed(all, batch, Recompute::none);
        const RunSetup run = set_up(text, enough);
        EXPECT_EQ(run.B, batch);
        EXPECT_EQ(run.sequences, 12);
        EXPECT_EQ(run.options.recompute, Recompute::none);
        if (batch > 1) { EXPECT_LT(set_up(text, enough - 4096).B, batch); }
    }
    const RunSetup little = set_up(text, needed(all, 1, Recompute::none) - 4096);
    EXPECT_NE(little.options.recompute, Recompute::none);
    EXPECT_EQ(set_up(text, uint64_t(1) << 40, {"--total-batch", "192", "--recompute", "block"}).options.recompute,
              Recompute::block);
    const uint64_t tight = needed(all, 12, Recompute::none);
    EXPECT_EQ(set_up(text, tight).B, 12);
    EXPECT_LT(set_up(text, tight, {"--total-batch", "192"}, true).B, 12);  // where saves copy to the same memory
    // Without --total-batch a step has 16, whatever fits: also to whoever resumes the run with its flags.
    const RunSetup usual = set_up(text, needed(all, 2, Recompute::none), {});
    EXPECT_TRUE(usual.B == 2 && usual.sequences == 16 && usual.options.total_batch == 256) << usual.B;
    try {
        set_up(text, 1000);
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.code, Exit::device);
        EXPECT_TRUE(has(error.what(), "--batch auto: training needs at least ")) << error.what();
    }
}

// The sums of a step are those of any other micro-batch, and a resumed run does not ask again.
TEST(automatic_batch, is_the_run_s_from_then_on) {
    const Temporary at;
    const fs::path text = write_text(at), one = at.path / "auto", two = at.path / "given";
    const std::vector<std::string> same = {"--total-batch", "64", "--save-every", "4", "--keep", "9"};
    const auto with = [&](std::vector<std::string> more) {
        more.insert(more.end(), same.begin(), same.end());
        return more;
    };
    const Outcome o = run(small(one, text, with({"--batch", "auto"})));
    ASSERT_EQ(o.code, Exit::done) << o.error;
    EXPECT_TRUE(
        has(o.out, "batch   4 sequences of 16 = 64 tokens a step (--batch auto: 4 at a time with --recompute none"))
        << o.out;
    ASSERT_EQ(run(small(two, text, with({"--batch", "4"}))).code, Exit::done);
    EXPECT_EQ(losses(one), losses(two));
    const Json saved = read_json((one / "step_00000004/state.json").string())["options"];
    EXPECT_TRUE(saved["batch"] == 4 && saved["total-batch"] == 64 && saved["recompute"] == "none") << saved;

    const fs::path cut = at.path / "cut";
    fs::create_directory(cut);
    fs::copy(one / "step_00000004", cut / "step_00000004", fs::copy_options::recursive);
    fs::copy(one / "log.jsonl", cut / "log.jsonl");
    const Outcome resumed = run({"--resume", cut.string()});
    ASSERT_EQ(resumed.code, Exit::done) << resumed.error;
    EXPECT_FALSE(has(resumed.out, "--batch auto")) << resumed.out;
    EXPECT_EQ(losses(cut), losses(one));
    EXPECT_EQ(weights_of(cut, 8), weights_of(one, 8));

    // Without --total-batch a step has what it has by default: the memory must not decide what is learned.
    const Outcome usual = run(small(at.path / "usual", text, {"--batch", "auto", "--steps", "1", "--warmup", "0"}));
    EXPECT_TRUE(has(usual.out, "batch   16 sequences of 16 = 256 tokens a step")) << usual.out << usual.error;
}

TEST(automatic_batch, on_the_kernels) {
    const GpuFound gpu = find_gpu();
    if (gpu.kind == GpuFound::Kind::none) GTEST_SKIP() << gpu.text;
    const Temporary at;
    const Outcome o =
        run(small(at.path / "run", write_text(at),
                  {"--batch", "auto", "--total-batch", "96", "--steps", "2", "--device", kernels_of(gpu)}));
    ASSERT_EQ(o.code, Exit::done) << o.error;
    EXPECT_TRUE(has(o.out, "6 sequences of 16 = 96 tokens a step (--batch auto: 6 at a time with --recompute none"))
        << o.out;
}

TEST(automatic_batch, memory_of_this_machine) {
    const uint64_t bytes = available_memory();
    EXPECT_GT(bytes, uint64_t(1) << 20);
    EXPECT_LT(bytes, uint64_t(1) << 50);
    const MemoryOfRank alone = memory_of_a_rank(Cpu<float>(), World());
    EXPECT_TRUE(alone.host);
    EXPECT_NEAR(double(alone.bytes) / double(bytes), 1, 0.5);
}

TEST(automatic_batch, contradictions) {
    for (const char* batch : {"0", "-1", "automatic", "AUTO"})
        EXPECT_THROW(parse(std::vector<std::string>{"--batch", batch}), Error) << batch;
    EXPECT_EQ(parse(std::vector<std::string>{"--batch", "auto"}).batch, automatic_batch);
    EXPECT_THROW(parse(std::vector<std::string>{"--batch", "auto", "--total-batch", "100"}), Error);
}

}  // namespace
