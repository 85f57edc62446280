// Runs every test:  ./test_gpt                      those of one layer:  ./test_gpt --gtest_filter='rmsnorm*'
// Times instead:    ./test_gpt --bench [--json FILE] [NAME...]      names its GPU:  ./test_gpt --gpu
// Fails where a kernel is slower than in an earlier run's FILE:  ./test_gpt --bench kernels --against FILE
// Counts what kernels do:  ./test_gpt_ptx --counters [--lines] [NAME...]
// Writes models for transformers:  ./test_gpt --export DIR
// Is train_gpt, for tests that start programs:  ./test_gpt --train-gpt FLAGS
#include <gtest/gtest.h>
#include "dev/bench/bench.h"
#include "dev/bench/bench_counters.h"
#include "dev/oracle/export.h"
#include "dev/test/support/cache_folder.h"
#include "dev/test/support/temporary_directory.h"
#include "host/base/signals.h"
#include "host/commands/commands.h"

namespace {

// Without a GPU the tests of a .cu file have nothing to run on, where the build is not dev/simt's.
void leave_out_kernels(const GpuFound& gpu) {
    std::string tests;
    const testing::UnitTest& all = *testing::UnitTest::GetInstance();
    for (int s = 0; s < all.total_test_suite_count(); s++)
        for (int t = 0; t < all.GetTestSuite(s)->total_test_count(); t++) {
            const testing::TestInfo& test = *all.GetTestSuite(s)->GetTestInfo(t);
            if (std::string_view(test.file()).ends_with(".cu"))
                tests += std::string(":") + test.test_suite_name() + "." + test.name();
        }
    const std::string given = GTEST_FLAG_GET(filter);
    GTEST_FLAG_SET(filter, given + (given.find('-') == given.npos ? "-" + tests.substr(1) : tests));
    std::printf("no GPU (%s): the kernels' tests are left out; make test_gpt_simt runs them on the CPU\n",
                gpu.text.c_str());
}

}  // namespace

int main(int argc, char** argv) try {
    if (argc > 1 && std::string_view(argv[1]) == "--bench") return run_benchmarks({argv + 2, argv + argc});
    if (argc > 1 && std::string_view(argv[1]) == "--train-gpt") {
        catch_signals();
        return run_program({argv + 2, argv + argc});
    }
    if (argc > 1 && std::string_view(argv[1]) == "--counters") return run_counters({argv + 2, argv + argc});
    if (argc == 3 && std::string_view(argv[1]) == "--export") return export_models(argv[2]);
    const GpuFound gpu = find_gpu();
    if (argc > 1 && std::string_view(argv[1]) == "--gpu") {
        std::printf("%s%s\n", gpu.kind == GpuFound::Kind::none ? "no GPU: " : "", gpu.text.c_str());
        return int(gpu.kind == GpuFound::Kind::real ? Exit::done : Exit::device);
    }
    testing::InitGoogleTest(&argc, argv);
    const Temporary at;
    const CacheFolder cache(at / "cache");  // the user's own is left alone
    if (gpu.kind == GpuFound::Kind::none) leave_out_kernels(gpu);
    return RUN_ALL_TESTS();
} catch (const Error& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return int(error.code);
}
