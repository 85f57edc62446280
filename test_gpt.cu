// Runs every test:  ./test_gpt                      those of one layer:  ./test_gpt --gtest_filter='rmsnorm*'
// Times instead:    ./test_gpt --bench [NAME...]
#include <gtest/gtest.h>

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
}
