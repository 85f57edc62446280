// A GPU or driver that fails at any call of the runtime while a run trains: one line that says so, exit code 5, and no
// checkpoint that is not what an undisturbed run saves.      ./test_gpt_simt --gtest_filter='cuda_faults*'
#include <map>
#include "dev/test/support/text_search.h"
#include "host/checkpoint/checkpoint.h"
#include "run_case.h"
#if __has_include(<simt/simt.h>)
#include "dev/simt/broken.h"

namespace {

// No GPU, driver too old, no code, not enough memory, ECC, NVLink, illegal address, launch failure, not ready.
constexpr int errors[] = {100, 35, 209, 2, 214, 220, 700, 719, 802};

struct Runs {
    Temporary at;
    fs::path text = write_text(at);
    std::map<int64_t, uint64_t> calm;  // weights by step
    int calls = 0, number = 0, failed = 0;
    std::vector<std::string> args(const fs::path& out) const {
        return small(out, text,
                     {"--device", "simt", "--dtype", "fp32", "--layers", "1", "--steps", "4", "--save-every", "1",
                      "--keep", "9", "--eval-every", "2", "--self-check", "off", "--sample-tokens", "0"});
    }
    Runs() {
        const simt::FailingCall none(1 << 30, 0);
        const Outcome o = run(args(at.path / "calm"));
        EXPECT_EQ(o.code, Exit::done) << o.error;
        calls = simt::FailingCall::calls();
        for (const int step : {1, 2, 3, 4}) calm[step] = weights_of(at.path / "calm", step);
    }
    // With its Nth call failing.
    void try_one(int call, int error) {
        const fs::path out = at.path / std::to_string(number++);
        SCOPED_TRACE("error " + std::to_string(error) + " at call " + std::to_string(call));
        Outcome o;
        std::string function;
        {
            const simt::FailingCall failing(call, error);
            o = run(args(out));
            function = simt::FailingCall::failed();
        }
        if (function.empty()) return;  // threads: a call more or less
        failed++;
        // Behind the last save, while the device is given back, a fault costs nothing.
        const bool at_the_end = o.code == Exit::done && list_checkpoints(out.string()).back().step == 4;
        EXPECT_TRUE(at_the_end || o.code == Exit::device) << int(o.code) << ", " << function << ": " << o.error;
        EXPECT_EQ(std::count(o.error.begin(), o.error.end(), '\n'), 0) << o.error;
        EXPECT_LT(o.error.size(), 400u) << o.error;
        if (!fs::exists(out)) return;
        for (const Checkpoint& c : list_checkpoints(out.string())) {
            open_checkpoint(c.path);
            EXPECT_EQ(weights_of(out, int(c.step)), calm.at(c.step)) << function << ", step " << c.step;
        }
        fs::remove_all(out);
    }
};

}  // namespace

// A sample of them; every call with CUDA_FAULTS=all.
TEST(cuda_faults, end_the_run_in_one_line) {
    Runs runs;
    ASSERT_GT(runs.calls, 200);
    const bool all = std::getenv("CUDA_FAULTS") != nullptr;
    size_t tried = 0;
    for (int call = 0; call < runs.calls; call += all ? 1 : runs.calls / 31)
        for (const int error : all ? std::vector<int>(std::begin(errors), std::end(errors))
                                   : std::vector<int>{errors[tried % std::size(errors)]})
            runs.try_one(call, error), tried++;
    EXPECT_GE(runs.failed, int(tried) - 2) << "most of those calls are made";
    if (all) std::printf("%zu faults at %d calls\n", tried, runs.calls);
}

// A block that is not computed, once, in the step that --verify-every computes twice.
TEST(cuda_faults, a_kernel_that_errs_once_is_found_and_nothing_saved) {
    for (const char* dtype : {"fp32", "bf16"}) {
        const Temporary at;
        const fs::path out = at.path / "run";
        const simt::Broken broken("embedding_forward", simt::Broken::Way::leaves_out_a_block,
                                  1);  // 0 was the first step
        const Outcome o = run(small(out, write_text(at),
                                    {"--device", "simt", "--dtype", dtype, "--steps", "3", "--save-every", "1",
                                     "--eval-every", "0", "--verify-every", "2", "--self-check", "off"}));
        EXPECT_EQ(o.code, Exit::device) << o.error;
        EXPECT_TRUE(has(o.error, "step 2: computed twice it is not the same: the first difference is in in of layer 0"))
            << o.error;
        EXPECT_EQ(std::count(o.error.begin(), o.error.end(), '\n'), 0) << o.error;
        const std::vector<Checkpoint> left = list_checkpoints(out.string());
        ASSERT_EQ(left.size(), 1u);
        EXPECT_EQ(left[0].step, 1);
    }
}

#else
TEST(cuda_faults, end_the_run_in_one_line) {
    GTEST_SKIP() << "only the CPU's runtime (dev/simt) fails when it is told to";
}
#endif
