// dev/gpu_check.sh with programs that only pretend, and fail as they are told.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>
#include <regex>
#include <set>
#include "dev/test/support/temporary_directory.h"
#include "dev/test/support/text_search.h"
#include "host/base/json.h"
#include "host/commands/commands.h"

namespace {
namespace fs = std::filesystem;

// Of the tests, as gtest writes it.
std::string listing() {
    Json suites = Json::array();
    const auto suite = [&](const char* name, const std::vector<std::pair<std::string, std::string>>& tests) {
        Json all = Json::array();
        for (const auto& [test, file] : tests) all.push_back({{"name", test}, {"file", file}, {"line", 7}});
        suites.push_back({{"name", name}, {"tests", tests.size()}, {"testsuite", all}});
    };
    suite("gpt_gpu", {{"gradients", "dev/test/model/gpt_gpu.cu"}});
    suite("layernorm", {{"golden", "dev/test/reference/layers.cpp"}, {"kernels", "dev/test/kernels/layernorm.cu"}});
    suite("linear_new", {{"kernels", "dev/test/kernels/linear_new.cu"}, {"limit", "dev/test/kernels/linear_new.cu"}});
    suite("cuda_error", {{"old_gpus", "dev/test/kernels/cuda_error.cu"}});
    suite("files", {{"names", "dev/test/base/files.cpp"}});
    suite("simt", {{"barriers", "dev/simt/test/block.cu"}});
    const std::string text = Json{{"name", "AllTests"}, {"testsuites", suites}}.dump(2);
    return std::regex_replace(text, std::regex("/"), "\\/");
}

// The folder of a bundle, a bin/ of programs that pretend, and the few real ones: PATH holds nothing else. $FAIL lists
// what goes wrong.
struct Machine {
    const Temporary at;
    std::string output;
    int code = -1;

    Machine() {
        fs::create_directories(at.path / "dev");
        fs::create_directories(at.path / "bin");
        fs::create_directories(at.path / "real");
        for (const char* tool :
             {"awk",    "base64", "basename", "cat", "cp",  "cut", "date", "dirname", "grep", "head", "mkdir",
              "mktemp", "mv",     "nproc",    "rm",  "sed", "sh",  "tail", "tar",     "tee",  "tr",   "xargs"}) {
            const fs::path usual = fs::path("/usr/bin") / tool, other = fs::path("/bin") / tool;
            fs::create_symlink(fs::exists(usual) ? usual : other, at.path / "real" / tool);
        }
        fs::copy("dev/gpu_check.sh", at.path / "dev/gpu_check.sh");
        script("test_gpt", R"(case "$1" in
            --gpu) fails gpu && { echo "no GPU: none was found"; exit 5; }; echo "NVIDIA H200" ;;
            --gtest_list_tests) echo tests; cp listing.json "${3#--gtest_output=json:}" ;;
            --bench) echo "table of $2"; fails "$2" && exit 3; echo '{"rows": 7}' >"$4" ;;
            *) ! fails tests ;;
            esac)");
        overwrite(at / "listing.json", listing());
        script("train_gpt", R"(while [ "$1" != --out ]; do shift; done
            fails train && { echo "error: GPU memory: there is not enough of it left; ..." >&2; exit 5; }
            mkdir -p "$2"
            for ms in 900 500 10 12 11; do
                echo '{"step":1,"loss":2.5,"ms":'$ms',"tokens_per_s":1000.0,"gflops":5.0,"mfu":0.001,"mfu_palm":0.002}'
            done >"$2/log.jsonl"
            echo '{"step":1,"val_loss":2.5,"ms":3.0}' >>"$2/log.jsonl")");
        script("bin/nvidia-smi", R"(case "$1" in *memory*) echo 141000 ;; *) echo 580.1 ;; esac)");
        script("bin/compute-sanitizer", R"(case "$*" in
            *filter=linear_new.*) fails "$2" && { cat report; exit 9; } ;;
            esac; exit 0)");
        report("linear_new_kernel<8>(float *)");
        script("bin/timeout", R"(shift 3
            case "$*" in *"--do run_tests"*) fails slow && exit 124 ;; esac
            exec "$@")");
    }
    // What the sanitizer says of a kernel.
    void report(const std::string& kernel) const {
        overwrite(at / "report",
                  "========= COMPUTE-SANITIZER\n" +
                      (kernel.empty() ? ""
                                      : "========= Uninitialized __global__ memory read of size 4 bytes\n"
                                        "=========     at " +
                                            kernel + "+0x120\n") +
                      "========= ERROR SUMMARY: 1 error\n");
    }
    void script(const std::string& name, const std::string& body) const {
        const std::string fails = "fails() { case \",$FAIL,\" in *\",$1,\"*) return 0 ;; *) return 1 ;; esac; }\n";
        overwrite(at / name, "#!/bin/sh\n" + fails + body + "\n");
        fs::permissions(at.path / name, fs::perms::owner_all);
    }
    void run(const std::string& fail) {
        const std::string command = "cd / && unset STAGES TESTS TIME_LIMIT TIME_SCALE; FAIL=" + fail + " PATH='" +
                                    (at / "bin") + ":" + (at / "real") + "' '" + (at / "dev/gpu_check.sh") + "' '" +
                                    (at / "results") + "' 2>&1";
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
        for (const Json& stage : results.at("stages")) all[stage.at("name")] = stage.at("status");
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
    EXPECT_TRUE(has(machine.last_line(), "gpu_check: passed, 14 stages")) << machine.output;
    EXPECT_TRUE(has(machine.output, "NVIDIA H200, driver 580.1")) << machine.output;
    EXPECT_TRUE(has(machine.output, "table of kernels"));
    EXPECT_TRUE(has(machine.output, "11.00 ms a step, 186182 tokens/s, MFU 18.6% causal, 37.2% PaLM"))
        << machine.output;
    // The suites that a tool may have no time for are others for each.
    for (const char* suites :
         {"layernorm linear_new gpt_gpu", "linear_new gpt_gpu layernorm", "gpt_gpu layernorm linear_new"})
        EXPECT_EQ(count(machine.output, std::string("clean: ") + suites + "\n"), 1) << machine.output;
    EXPECT_EQ(machine.stages().size(), 14u);
    for (const auto& [name, status] : machine.stages()) EXPECT_EQ(status, "passed") << name;
    const Json results = read_json(machine.at / "results/results.json");
    EXPECT_EQ(results.at("gpu"), "NVIDIA H200");
    for (const char* bench :
         {"kernels", "step_profile", "end_to_end_gpt2", "end_to_end_gpt2_xl", "end_to_end_qwen3", "generate_gpu"})
        EXPECT_EQ(results.at(bench).at("rows"), 7) << bench;
}

TEST_F(gpu_check, stages_that_fail_are_named_and_the_others_run) {
    Machine machine;
    machine.run("tests,racecheck,kernels,train");
    EXPECT_EQ(machine.code, 1) << machine.output;
    EXPECT_TRUE(has(machine.last_line(),
                    "gpu_check: FAILED: smoke, tests, train_tiny, train_tiny_bf16, kernels, "
                    "train_gpt2, racecheck; 7 stages passed"))
        << machine.output;
    EXPECT_TRUE(has(machine.output, "exit code 5; error: GPU memory: there is not enough")) << machine.output;
    EXPECT_TRUE(has(machine.output, "clean: layernorm gpt_gpu; FOUND ERRORS: linear_new")) << machine.output;
    std::map<std::string, std::string> stages = machine.stages();
    EXPECT_EQ(stages.size(), 14u);
    EXPECT_EQ(stages["kernels"], "FAILED");
    EXPECT_EQ(stages["end_to_end_gpt2_xl"], "passed");
    EXPECT_EQ(stages["memcheck"], "passed");
}

TEST_F(gpu_check, nothing_of_an_earlier_run_is_reported) {
    Machine machine;
    overwrite(machine.at / "mine.json", "{}");
    machine.run("nothing");
    machine.run("kernels");
    EXPECT_FALSE(read_json(machine.at / "results/results.json").contains("kernels"));
    EXPECT_TRUE(fs::exists(machine.at.path / "results/step_profile.log"));
    machine.run("gpu");
    for (const char* name : {"step_profile.log", "step_profile.json", "end_to_end_gpt2.json"})
        EXPECT_FALSE(fs::exists(machine.at.path / "results" / name)) << name;
    EXPECT_TRUE(fs::exists(machine.at.path / "mine.json"));
}

// The suites that compute-sanitizer sees are those that gtest lists: of this very program.
TEST_F(gpu_check, every_kernel_is_sanitized) {
    const GpuFound gpu = find_gpu();
    if (gpu.kind == GpuFound::Kind::none) GTEST_SKIP() << "the kernels' tests are not listed: " << gpu.text;
    const Machine machine;
    fs::remove(machine.at.path / "test_gpt");
    fs::create_symlink(fs::read_symlink("/proc/self/exe"), machine.at.path / "test_gpt");
    // As in a share of the tests, which this may be.
    const std::string command =
        "GTEST_TOTAL_SHARDS=3 GTEST_SHARD_INDEX=1 '" + (machine.at / "dev/gpu_check.sh") + "' --do kernel_suites";
    FILE* pipe = popen(command.c_str(), "r");
    ASSERT_NE(pipe, nullptr);
    std::multiset<std::string> listed, wanted;
    char text[4096];
    while (std::fgets(text, sizeof text, pipe)) listed.insert(std::string(text, std::strcspn(text, "\n")));
    EXPECT_EQ(WEXITSTATUS(pclose(pipe)), 0);
    const std::set<std::string> no_kernels = {"bench_test", "commands", "cuda_error", "profiling", "simt"};
    const testing::UnitTest& all = *testing::UnitTest::GetInstance();
    for (int s = 0; s < all.total_test_suite_count(); s++) {
        const testing::TestSuite& suite = *all.GetTestSuite(s);
        bool kernels = false;
        for (int t = 0; t < suite.total_test_count(); t++)
            kernels |= std::string_view(suite.GetTestInfo(t)->file()).ends_with(".cu");
        if (kernels && !no_kernels.contains(suite.name())) wanted.insert(suite.name());
    }
    EXPECT_EQ(listed, wanted);
    EXPECT_GT(wanted.size(), 25u);
}

// What a sanitizer says of a closed library's kernels is no fault of ours; what it says without naming a kernel may be.
TEST_F(gpu_check, alarms_of_closed_libraries_are_known_by_the_kernels_names) {
    Machine machine;
    for (const char* closed :
         {"nvjet_hsh_128x256_64x4_1x2_h_bz_TNT", "void cublasLt::splitKreduce_kernel<32, 16, int>(int)"}) {
        machine.report(closed);
        machine.run("initcheck");
        EXPECT_EQ(machine.stages()["initcheck"], "passed") << closed << machine.output;
    }
    machine.report("void copy_async<(int)16>(void *, const void *, int)+0x1a90 in ptx.cuh:67 of what is inlined");
    machine.run("initcheck");
    EXPECT_EQ(machine.stages()["initcheck"], "FAILED") << machine.output;
    const std::string race = "========= Error: Race reported between Read access at ";
    for (const char* where :
         {"load_own() in attention_hopper_backward_query.cuh:44", "load() in attention_hopper.cuh:9"}) {
        overwrite(machine.at / "report", race + where + "\n=========     and Write access at write() in a.cuh:1\n");
        machine.run("racecheck,initcheck");  // of which the second raises no false ones there
        EXPECT_EQ(machine.stages()["racecheck"], has(where, "backward") ? "passed" : "FAILED") << machine.output;
        EXPECT_EQ(machine.stages()["initcheck"], "FAILED") << machine.output;
    }
    overwrite(machine.at / "report",
              "========= Program hit cudaErrorInvalidValue (error 1) on CUDA API call to cudaMemcpyAsync\n");
    machine.run("initcheck");
    EXPECT_EQ(machine.stages()["initcheck"], "FAILED") << machine.output;
}

TEST_F(gpu_check, what_was_found_is_one_file_after_every_stage) {
    Machine machine;
    machine.run("nothing");
    fs::create_directories(machine.at.path / "unpacked");
    const std::string tar = "tar -C '" + (machine.at / "unpacked") + "' -xf '" + (machine.at / "results.tar") + "'";
    ASSERT_EQ(std::system(tar.c_str()), 0);
    for (const auto& entry : fs::directory_iterator(machine.at.path / "results"))
        EXPECT_TRUE(fs::exists(machine.at.path / "unpacked/results" / entry.path().filename())) << entry.path();
    machine.script("test_gpt", R"(case "$1" in
        --gpu) echo "NVIDIA H200" ;;
        --bench) kill -9 $PPID ;;                 # the script, in its first benchmark
        esac)");
    machine.run("nothing");
    ASSERT_EQ(std::system(tar.c_str()), 0);
    const Json stages = read_json(machine.at / "unpacked/results/results.json").at("stages");
    EXPECT_EQ(stages.back().at("name"), "train_tiny_bf16");
}

// GPUs that share the host's memory, and virtual ones, have none of their own to tell.
TEST_F(gpu_check, memory_that_the_driver_does_not_say) {
    Machine machine;
    machine.script("bin/nvidia-smi", R"(case "$1" in *memory*) echo "[N/A]" ;; *) echo 580.1 ;; esac)");
    machine.run("nothing");
    EXPECT_EQ(machine.code, 0) << machine.output;
    EXPECT_EQ(count(machine.output, "Illegal number"), 0) << machine.output;
    EXPECT_TRUE(has(machine.output, "11.00 ms a step, 372364 tokens/s")) << machine.output;  // 4 sequences of 1024
}

TEST_F(gpu_check, a_stage_that_hangs_is_named) {
    Machine machine;
    machine.run("slow");
    EXPECT_EQ(machine.code, 1);
    EXPECT_TRUE(has(machine.last_line(), "FAILED: tests; 13 stages passed")) << machine.output;
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
