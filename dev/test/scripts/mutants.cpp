// dev/mutants/mutants.sh --check: every mutant's text is in the kernels, however they are laid out.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <cstdio>
#include <filesystem>
#include "dev/test/support/temporary_directory.h"
#include "dev/test/support/text_search.h"

namespace {
namespace fs = std::filesystem;

struct Check {
    int code = -1;
    std::string output;
};

Check check_in(const std::string& folder) {
    Check check;
    FILE* pipe = popen(("cd '" + folder + "' && dev/mutants/mutants.sh --check 2>&1").c_str(), "r");
    if (!pipe) return check;
    char text[4096];
    while (std::fgets(text, sizeof text, pipe)) check.output += text;
    check.code = WEXITSTATUS(pclose(pipe));
    return check;
}

struct mutants : testing::Test {
    void SetUp() override {
        if (!fs::exists("/bin/sh") || !fs::exists("dev/mutants")) GTEST_SKIP() << "the mutants are not here";
    }
};

TEST_F(mutants, are_all_in_the_kernels) {
    const Check check = check_in(".");
    EXPECT_EQ(check.code, 0) << check.output;
    EXPECT_EQ(count(check.output, " found in the kernels, 0 not\n"), 1) << check.output;
}

TEST_F(mutants, text_that_is_gone_is_named) {
    const Temporary at;
    for (const char* folder : {"dev/mutants", "dev/test/kernels", "kernels", "host"})
        fs::create_directories(at.path / folder);
    for (const std::string script : {"dev/mutants/mutants.sh", "dev/mutants/plant.sh"})
        fs::copy(script, at.path / script);
    overwrite(at / "dev/test/kernels/relu.cu", "");
    overwrite(at / "kernels/relu.cuh", "d_x[i] += x[i] > 0 ?\n    d : 0;\n    f(a,\n      b);  f(a, b);\n");
    const auto mutant = [](const char* name, const char* layer, const char* file, const char* from) {
        return std::string("\nmutant: ") + name + "\nlayer: " + layer + "\nfile: " + file + "\nfrom: " + from +
               "\nto: \n";
    };
    overwrite(at / "dev/mutants/mutants.txt", mutant("other_lines", "relu", "relu.cuh", "x[i]>0 ? d : 0") +
                                                  mutant("twice", "relu", "relu.cuh", "f(a, b);\nnumber: 2") +
                                                  mutant("thrice", "relu", "relu.cuh", "f(a, b);\nnumber: 3") +
                                                  mutant("gone", "relu", "relu.cuh", "x[i] >= 0 ? d : 0") +
                                                  mutant("moved", "relu", "row.cuh", "f(a, b);") +
                                                  mutant("untested", "gelu", "relu.cuh", "f(a, b);"));
    const Check check = check_in(at.path.string());
    EXPECT_EQ(check.code, 1) << check.output;
    for (const char* name : {"other_lines", "twice"}) EXPECT_EQ(count(check.output, name), 0) << check.output;
    for (const char* line :
         {"thrice: STALE", "gone: STALE", "moved: STALE", "untested: there is no dev/test/kernels/gelu.cu"})
        EXPECT_EQ(count(check.output, line), 1) << check.output;
}

}  // namespace
