// dev/gpu_check.sh with programs that only pretend, and fail as they are told.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <cstdio>
#include <filesystem>
#include <map>
#include "../host/json.h"
#include "temporary.h"
#include "text.h"

namespace {
namespace fs = std::filesystem;

// The folder of a bundle, and a bin/ that comes first on PATH. $FAIL lists what goes wrong.
struct Machine {
    const Temporary at;
    std::string output;
    int code = -1;

    Machine() {
        fs::create_directories(at.path / "dev");
        fs::create_directories(at.path / "bin");
        fs::copy("dev/gpu_check.sh", at.path / "dev/gpu_check.sh");
        script("test_gpt", R"(case "$1" in
            --gpu) fails gpu && { echo "no GPU: none was found"; exit 5; }; echo "NVIDIA H200" ;;
            --bench) echo "table of $2"; fails "$2" && exit 3; echo '{"rows": 7}' >"$4" ;;
            *) ! fails tests ;;
            esac)");
        script("train_gpt", R"(while [ "$1" != --out ]; do shift; done
            fails train && { echo "error: GPU memory: there is not enough of it left; ..." >&2; exit 5; }
            mkdir -p "$2"
            for ms in 900 500 10 12 11; do
                echo '{"step":1,"loss":2.5,"ms":'$ms',"tokens_per_s":1000.0,"gflops":5.0,"mfu":0.001,"mfu_palm":0.002}'
            done >"$2/log.jsonl"
            echo '{"step":1,"val_loss":2.5,"ms":3.0}' >>"$2/log.jsonl")");
        script("bin/nvidia-smi", R"(case "$1" in *memory*) echo 141000 ;; *) echo 580.1 ;; esac)");
        script("bin/compute-sanitizer", R"(fails "$2" && exit 9; exit 0)");
        script("bin/timeout", R"(shift 3
            case "$*" in *"--do run_tests"*) fails slow && exit 124 ;; esac
            exec "$@")");
    }
    void script(const std::string& name, const std::string& body) const {
        const std::string fails = "fails() { case \",$FAIL,\" in *\",$1,\"*) return 0 ;; *) return 1 ;; esac; }\n";
        overwrite(at / name, "#!/bin/sh\n" + fails + body + "\n");
        fs::permissions(at.path / name, fs::perms::owner_all);
    }
    void run(const std::string& fail) {
        const std::string command = "cd / && FAIL=" + fail + " PATH='" + (at / "bin") + "':/usr/bin:/bin '" +
                                    (at / "dev/gpu_check.sh") + "' '" + (at / "results") + "' 2>&1";
        output.clear();
        FILE* pipe = popen(command.c_str(), "r");
        ASSERT_NE(pipe, nullptr);
        char text[4096];
        while (std::fgets(text, sizeof text, pipe)) output += text;
        code = WEXITSTATUS(pclose(pipe));
    }
    std::string last_line() const {
        const size_t end = output.find_last_not_of('\n'), begin = output.rfind('\n', end);
        return output.substr(begin + 1, end - begin);
    }
    std::map<std::string, std::string> stages() const {
        std::map<std::string, std::string> all;
        const Json results = read_json(at / "results/results.json");
        for (const Json& stage : results.at("stages"))
            all[stage.at("name")] = stage.at("status");
        return all;
    }
};

struct gpu_check : testing::Test {
    void SetUp() override {
        if (!fs::exists("/bin/sh")) GTEST_SKIP() << "there is no shell";
    }
};

TEST_F(gpu_check, all_is_well) {
    Machine machine;
    machine.run("nothing");
    EXPECT_EQ(machine.code, 0) << machine.output;
    EXPECT_TRUE(has(machine.last_line(), "gpu_check: passed, 12 stages")) << machine.output;
    EXPECT_TRUE(has(machine.output, "NVIDIA H200, driver 580.1")) << machine.output;
    EXPECT_TRUE(has(machine.output, "table of kernels"));
    EXPECT_TRUE(has(machine.output, "11.00 ms a step, 186182 tokens/s, MFU 18.6% causal, 37.2% PaLM")) << machine.output;
    EXPECT_EQ(machine.stages().size(), 12u);
    for (const auto& [name, status] : machine.stages()) EXPECT_EQ(status, "passed") << name;
    const Json results = read_json(machine.at / "results/results.json");
    EXPECT_EQ(results.at("gpu"), "NVIDIA H200");
    for (const char* bench : {"kernels", "step_profile", "end_to_end_gpt2", "end_to_end_gpt2_xl", "end_to_end_qwen3"})
        EXPECT_EQ(results.at(bench).at("rows"), 7) << bench;
}

TEST_F(gpu_check, stages_that_fail_are_named_and_the_others_run) {
    Machine machine;
    machine.run("tests,racecheck,kernels,train");
    EXPECT_EQ(machine.code, 1) << machine.output;
    EXPECT_TRUE(has(machine.last_line(), "gpu_check: FAILED: tests, train_tiny, train_tiny_bf16, train_gpt2, kernels, "
                                         "racecheck; 6 stages passed"))
        << machine.output;
    EXPECT_TRUE(has(machine.output, "exit code 5; error: GPU memory: there is not enough")) << machine.output;
    EXPECT_TRUE(has(machine.output, "FOUND ERRORS: layernorm")) << machine.output;
    std::map<std::string, std::string> stages = machine.stages();
    EXPECT_EQ(stages.size(), 12u);
    EXPECT_EQ(stages["kernels"], "FAILED");
    EXPECT_EQ(stages["end_to_end_gpt2_xl"], "passed");
    EXPECT_EQ(stages["memcheck"], "passed");
}

TEST_F(gpu_check, a_stage_that_hangs_is_named) {
    Machine machine;
    machine.run("slow");
    EXPECT_EQ(machine.code, 1);
    EXPECT_TRUE(has(machine.last_line(), "FAILED: tests; 11 stages passed")) << machine.output;
    EXPECT_EQ(machine.stages()["tests"], "TIMEOUT");
}

TEST_F(gpu_check, without_a_gpu_the_cpu_is_checked) {
    Machine machine;
    machine.run("gpu");
    EXPECT_EQ(machine.code, 0) << machine.output;
    EXPECT_TRUE(has(machine.output, "no GPU: none was found")) << machine.output;
    EXPECT_TRUE(has(machine.output, "only what a CPU can do is checked")) << machine.output;
    EXPECT_TRUE(has(machine.last_line(), "gpu_check: passed, 3 stages")) << machine.output;
}

TEST_F(gpu_check, what_is_missing_is_said) {
    Machine machine;
    fs::remove(machine.at.path / "bin/compute-sanitizer");
    machine.run("nothing");
    EXPECT_EQ(machine.stages()["memcheck"], "left out") << machine.output;
    EXPECT_EQ(machine.code, 0) << machine.output;
    fs::remove(machine.at.path / "train_gpt");
    machine.run("nothing");
    EXPECT_EQ(machine.code, 1);
    EXPECT_TRUE(has(machine.output, "make bundle")) << machine.output;
}

}  // namespace
