// dev/gpu_arch.sh and what the Makefile makes of it, with an nvidia-smi and an nvcc that only pretend.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <cstdio>
#include <filesystem>
#include "dev/test/support/temporary_directory.h"
#include "dev/test/support/text_search.h"

namespace {
namespace fs = std::filesystem;

constexpr char cuda_12_4[] = "compute_75\ncompute_80\ncompute_86\ncompute_89\ncompute_90\n";
constexpr char cuda_13_0[] =
    "compute_75\ncompute_80\ncompute_86\ncompute_89\ncompute_90\ncompute_100\ncompute_110\n"
    "compute_103\ncompute_120\ncompute_121\n";

struct Machine {
    const Temporary at;
    std::string output;  // stderr's lines come first

    // What nvidia-smi prints, and ends with; what nvcc lists.
    Machine(const std::string& smi, int code, const std::string& nvcc) {
        script("nvidia-smi", "cat <<'END'\n" + smi + "\nEND\nexit " + std::to_string(code));
        script("nvcc", "case \"$*\" in\n*--list-gpu-arch) cat <<'END'\n" + nvcc + "END\n;;\n*) exit 1 ;;\nesac");
        script("wrapper", "exec \"$@\"");
    }
    void script(const std::string& name, const std::string& body) const {
        overwrite(at / name, "#!/bin/sh\n" + body + "\n");
        fs::permissions(at.path / name, fs::perms::owner_all);
    }
    std::string run(const std::string& command) {
        const std::string all = "PATH='" + at.path.string() + "':$PATH; { " + command + "; } 2>&1";
        FILE* pipe = popen(all.c_str(), "r");
        char text[4096];
        for (output.clear(); std::fgets(text, sizeof text, pipe);) output += text;
        EXPECT_EQ(WEXITSTATUS(pclose(pipe)), 0) << command << '\n' << output;
        return output;
    }
};

struct gpu_arch : testing::Test {
    void SetUp() override {
        if (!fs::exists("/bin/sh") || !fs::exists("dev/gpu_arch.sh")) GTEST_SKIP() << "there is nothing to run";
    }
};

TEST_F(gpu_arch, of_this_machines_gpus) {
    const std::string any = "80 compute_80", any_words = "8.0, PTX from 8.0 on";
    const std::string none = "no GPU from 8.0 on is here";
    struct Case {
        std::string smi;
        int code;
        const char* nvcc;
        std::string chosen, words, why;
    };
    const std::vector<Case> cases = {
        {"8.9", 0, cuda_12_4, "89", "8.9", ""},
        {"9.0", 0, cuda_12_4, "90a", "9.0", ""},
        {"8.0\n8.0\n8.0", 0, cuda_12_4, "80", "8.0", ""},
        {"7.5\n8.6", 0, cuda_12_4, "86", "8.6", ""},
        {"12.0", 0, cuda_13_0, "120", "12.0", ""},
        {"12.0", 0, cuda_12_4, "compute_90", "PTX from 9.0 on", ""},
        {"8.9\n12.0\n12.1", 0, cuda_12_4, "89 compute_90", "8.9, PTX from 9.0 on", ""},
        {"11.1", 0, cuda_13_0, "compute_110", "PTX from 11.0 on", ""},  // 120's is of no use to it
        {"7.5", 0, cuda_13_0, any, any_words, none},
        {"[N/A]", 0, cuda_13_0, any, any_words, none},
        {"", 0, cuda_13_0, any, any_words, none},
        {"NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that version 12.0 is "
         "installed and running.",
         9, cuda_13_0, any, any_words, none},
    };
    for (const Case& c : cases) {
        Machine machine(c.smi, c.code, c.nvcc);
        const std::string why = c.why.empty() ? "this machine's GPU" : c.why;
        EXPECT_EQ(machine.run("dev/gpu_arch.sh wrapper nvcc"),
                  "kernels for " + c.words + " (" + why + ")\n" + c.chosen + "\n")
            << c.smi;
    }
}

TEST_F(gpu_arch, of_a_bundle) {
    Machine old("8.9", 0, cuda_12_4), current("", 0, cuda_13_0);
    EXPECT_EQ(old.run("dev/gpu_arch.sh --portable nvcc 2>/dev/null"), "80 90a compute_80\n");
    EXPECT_EQ(current.run("dev/gpu_arch.sh --portable nvcc 2>/dev/null"), "80 90a 100 120 compute_80\n");
    EXPECT_EQ(current.run("dev/gpu_arch.sh --words 80 90a 120 compute_120"), "8.0, 9.0, 12.0, PTX from 12.0 on\n");
}

TEST_F(gpu_arch, the_makefile_compiles_for_it) {
    if (!fs::exists("Makefile") || std::system("make --version >/dev/null 2>&1")) GTEST_SKIP() << "there is no make";
    Machine machine("8.9\n12.0", 0, cuda_12_4);
    const std::string flags = "-gencode arch=compute_89,code=sm_89 -gencode arch=compute_90,code=compute_90";
    const auto dry = [&](const std::string& what) {  // nothing of this make's options and variables
        return machine.run("unset MAKEFLAGS MFLAGS GPU_ARCH; make -n BUILD='" + (machine.at / "build") +
                           "' NVCC='wrapper nvcc' " + what +
                           " 2>&1 | grep -e '^kernels for' -e '^wrapper' -e '/bundle' || true");
    };
    const std::string made = dry("train_gpt");
    EXPECT_EQ(count(made, "kernels for 8.9, PTX from 9.0 on"), 1) << made;
    EXPECT_TRUE(has(made, "wrapper nvcc " + flags + " ")) << made;  // the link
    EXPECT_EQ(count(made, flags), count(made, "wrapper nvcc ")) << made;
    EXPECT_EQ(count(dry("train_gpt_simt"), "kernels for"), 0) << machine.output;
    const int with_ptx = count(made, " -c -o "), without = count(dry("train_gpt GPU_ARCH=89"), "--no-compress");
    EXPECT_EQ(count(made, "--no-compress"), with_ptx) << made;  // so that dev/ptx can run it
    EXPECT_EQ(without, 0) << machine.output;
    EXPECT_FALSE(has(made, "cublasLt")) << made;  // it is loaded when the program runs
    const std::string portable = dry("PORTABLE=1 bundle_folder");
    EXPECT_FALSE(has(portable, "compress-mode")) << portable;
    EXPECT_TRUE(has(portable, "dev/bundle.sh " + (machine.at / "build") + " 80 90a compute_80\n")) << portable;
    machine.script(
        "nvcc",
        "case $1 in --help) echo '--compress-mode {default,size}' ;; *) printf 'compute_100\\ncompute_120\\n' ;; esac");
    const std::string current = dry("PORTABLE=1 bundle_folder");
    EXPECT_TRUE(has(current, "--compress-mode=size")) << current;
    EXPECT_EQ(count(current, "code=sm_120"), 13) << current;  // eleven objects, two links; not the tests
}

}  // namespace
