// Runs every test:  ./test_gpt                      those of one layer:  ./test_gpt --gtest_filter='rmsnorm*'
// Times instead:    ./test_gpt --bench [NAME...]
#include <gtest/gtest.h>
#include "dev/bench.h"

int main(int argc, char** argv) {
    if (argc > 1 && std::string_view(argv[1]) == "--bench") return run_benchmarks({argv + 2, argv + argc});
    testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
}
