// What a plan says of a GPU's memory before a run begins, and what the run then takes: within 2%. On a CPU it is what
// the trainer asks for, which dev/test/model/plan.cpp counts.
//     ./test_gpt_simt --gtest_filter='planned_memory*'
#include "host/checkpoint/config_json.h"
#include "host/plan/plan.h"
#include "run_case.h"
#if __has_include(<simt/simt.h>)
#include "dev/simt/device_memory.h"

namespace {

// A step and a save; returns what was planned.
double train(const Temporary& at, const std::vector<std::string>& shape, const std::string& device,
             const std::string& dtype) {
    const fs::path out = at.path / "run", text = at.path / "text.txt";
    std::ofstream(text) << std::string(1500, 'a');
    std::vector<std::string> args{"--device", device, "--dtype",      dtype, "--self-check",    "off", "--steps", "1",
                                  "--warmup", "0",    "--eval-every", "0",   "--sample-tokens", "0"};
    args.insert(args.end(), shape.begin(), shape.end());
    args = small(out, text, args);
    const Outcome o = run(args);
    EXPECT_EQ(o.code, Exit::done) << o.error;
    const Json begin = log_lines(out).at(0);
    const Options options = parse(args);
    const Plan plan = make_plan(config_from_json(begin["model"], "log"), options.batch,
                                dtype == "bf16" ? Dtype::bf16 : Dtype::fp32, options.recompute);
    return double(plan.memory.total());
}

}  // namespace

// Beside its model a run takes scratch memory for kernels, which hardly depends on the model: what a larger one takes
// more is what is planned.
TEST(planned_memory, is_what_a_run_takes_of_a_gpu) {
    const std::vector<std::string> small{"--layers", "1",  "--dim",     "32", "--heads", "2",
                                         "--ffn",    "64", "--context", "16", "--batch", "1"},
        large{"--layers", "4", "--dim", "64", "--heads", "2", "--ffn", "256", "--context", "48", "--batch", "1"};
    for (const char* dtype : {"fp32", "bf16"}) {
        const auto measured = [&](const std::vector<std::string>& model, double& planned) {
            const Temporary at;
            const simt::DeviceMemoryPeak peak;
            planned = train(at, model, "simt", dtype);
            return double(peak.bytes());
        };
        double planned_small = 0, planned_large = 0;
        const double of_small = measured(small, planned_small), of_large = measured(large, planned_large);
        EXPECT_NEAR((of_large - of_small) / (planned_large - planned_small), 1, 0.02)
            << dtype << ": planned " << planned_small << " and " << planned_large << ", taken " << of_small << " and "
            << of_large;
        EXPECT_LT(of_small - planned_small, 40e6) << dtype;
        EXPECT_GE(of_small, planned_small) << dtype;
    }
}

#else
TEST(planned_memory, is_what_a_run_takes_of_a_gpu) {
    GTEST_SKIP() << "only the CPU's runtime (dev/simt) counts what is taken of it";
}
#endif
