// dev/run_tests.sh, with programs that only print what GoogleTest prints.    ./test_gpt --gtest_filter='run_tests.*'
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <cstdio>
#include <filesystem>
#include "dev/test/support/temporary_directory.h"
#include "dev/test/support/text_search.h"

namespace {
namespace fs = std::filesystem;

struct run_tests : testing::Test {
    const Temporary at;
    std::string output;

    void SetUp() override {
        if (!fs::exists("/bin/sh") || !fs::exists("dev/run_tests.sh")) GTEST_SKIP() << "there is nothing to run";
    }
    // The exit code with a program whose shares 0 and 1 are these commands.
    int run(const std::string& first, const std::string& second) {
        overwrite(at / "program",
                  "#!/bin/sh\nif [ $GTEST_SHARD_INDEX = 0 ]; then\n" + first + "\nelse\n" + second + "\nfi\n");
        fs::permissions(at.path / "program", fs::perms::owner_all);
        FILE* pipe = popen(("SHARES=2 dev/run_tests.sh '" + (at / "program") + "' --some-flag 2>&1").c_str(), "r");
        char text[4096];
        for (output.clear(); std::fgets(text, sizeof text, pipe);) output += text;
        return WEXITSTATUS(pclose(pipe));
    }
};

const std::string all_pass =
    "echo '[==========] 5 tests from 2 test suites ran. (3 ms total)'; echo '[  PASSED  ] 5 tests.'";

TEST_F(run_tests, sums_shares) {
    EXPECT_EQ(run(all_pass, all_pass), 0) << output;
    EXPECT_TRUE(output.ends_with("0 skipped:\n10 passed, 0 failed\n")) << output;
}

TEST_F(run_tests, one_test_is_a_test) {
    const std::string one =
        "echo '[==========] 2 tests from 1 test suite ran. (3 ms total)'; echo '[  PASSED  ] 1 test.'; echo '[  "
        "SKIPPED ] 1 test, listed below:'";
    EXPECT_EQ(run(one, all_pass), 0) << output;
    EXPECT_TRUE(output.ends_with("6 passed, 0 failed\n")) << output;
}

TEST_F(run_tests, a_failure_fails) {
    const std::string bad =
        "echo '[  FAILED  ] rope.turns (3 ms)'; echo '[==========] 5 tests from 2 test suites ran. (3 ms total)'; echo "
        "'[  PASSED  ] 3 tests.'; exit 1";
    EXPECT_EQ(run(all_pass, bad), 1) << output;
    EXPECT_TRUE(has(output, "rope.turns")) << output;
    EXPECT_TRUE(output.ends_with("8 passed, 2 failed\n")) << output;
}

TEST_F(run_tests, a_crash_fails) {
    EXPECT_EQ(run(all_pass, "echo half; kill -9 $$"), 1) << output;
    EXPECT_TRUE(has(output, "share 1 ended with 137")) << output;
    EXPECT_TRUE(output.ends_with("5 passed, 1 failed\n")) << output;
}

TEST_F(run_tests, a_bad_end_fails) {
    EXPECT_EQ(run(all_pass + "; exit 66", all_pass), 1) << output;
    EXPECT_TRUE(output.ends_with("10 passed, 1 failed\n")) << output;
}

TEST_F(run_tests, no_test_fails) {
    const std::string none =
        "echo '[==========] 0 tests from 0 test suites ran. (0 ms total)'; echo '[  PASSED  ] 0 tests.'";
    EXPECT_EQ(run(none, none), 1) << output;
}

}  // namespace
