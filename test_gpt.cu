// Runs every test:  ./test_gpt                      those of one layer:  ./test_gpt --gtest_filter='rmsnorm*'
// Times instead:    ./test_gpt --bench [NAME...]            writes models for transformers: ./test_gpt --export DIR
#include <gtest/gtest.h>
#include "dev/bench.h"
#include "dev/export.h"

int main(int argc, char** argv) {
    if (argc > 1 && std::string_view(argv[1]) == "--bench") return run_benchmarks({argv + 2, argv + argc});
    if (argc == 3 && std::string_view(argv[1]) == "--export") return export_models(argv[2]);
    testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
}
