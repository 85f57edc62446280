// What a profiler is told, and the timeline that needs none.      ./test_gpt --gtest_filter='profiling*'
#include "dev/test/support/captured.h"
#include "dev/test/support/temporary_directory.h"
#include "harness.h"
#include "host/commands/commands.h"
#include "host/options/options_parse.h"
#include "kernels/instances.cuh"

namespace {

TEST(profiling, a_timeline_counts_every_launch_under_its_layers_name) {
    const Gpu<float> on;
    const int N = 64, C = 32;
    float *x = on.allocate<float>(N * C), *weight = on.allocate<float>(C), *rstd = on.allocate<float>(N);
    Timeline timeline;
    residual_forward(x, x, x, size_t(N) * C, on);  // nobody watches
    on.watch(&timeline);
    for (int i = 0; i < 3; i++) rmsnorm_forward(x, rstd, x, weight, 1e-5f, N, C, on);
    gelu_forward(x, x, size_t(N) * C, on);
    on.watch(nullptr);
    residual_forward(x, x, x, size_t(N) * C, on);
    const std::vector<Timeline::Total> totals = timeline.totals();
    ASSERT_EQ(totals.size(), 2u);
    EXPECT_GE(totals[0].milliseconds, totals[1].milliseconds);
    for (const Timeline::Total& t : totals) {
        EXPECT_EQ(t.count, t.name == "rmsnorm_forward" ? 3 : 1) << t.name;
        EXPECT_TRUE(t.name == "rmsnorm_forward" || t.name == "gelu_forward") << t.name;
        EXPECT_GE(t.milliseconds, 0);
    }
}

#if __has_include(<simt/simt.h>)
uint64_t profiled(const std::string& window) {
    const Temporary at;
    overwrite(at / "text",
              "the cat sat on the mat; the dog sat on the cat; the mat sat on the dog; all was well then.");
    std::vector<std::string> args{"--device", "simt", "--layers", "1", "--dim", "16", "--heads", "2", "--context", "8"};
    args.insert(args.end(),
                {"--ffn", "32", "--batch", "1", "--steps", "4", "--data", at / "text", "--out", at / "run"});
    args.insert(args.end(), {"--eval-every", "0", "--sample-tokens", "0", "--val-fraction", "0.2"});
    if (!window.empty()) args.insert(args.end(), {"--profile-steps", window});
    const uint64_t before = simt::profiled_launches();
    const Captured quiet;
    run_command(parse(args));
    return simt::profiled_launches() - before;
}

TEST(profiling, only_the_steps_of_the_window_are_seen) {
    const uint64_t one = profiled("2:2");
    EXPECT_GT(one, 20u);
    EXPECT_EQ(profiled(""), 0u);
    EXPECT_EQ(profiled("2:3"), 2 * one);
    EXPECT_EQ(profiled("9:10"), 0u);
}
#endif

}  // namespace
