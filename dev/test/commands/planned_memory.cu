// What a plan says of memory before a run begins, and what the run then takes: within 2%.
//     ./test_gpt_simt --gtest_filter='planned_memory*'
#include "dev/test/support/shims.h"
#include "host/checkpoint/config_json.h"
#include "host/plan/plan.h"
#include "run_case.h"
#if __has_include(<simt/simt.h>)
#include "dev/simt/device_memory.h"
#endif

namespace {

// Models small enough to train here, and so large that what a run takes beside its model (its batches, a sort's scratch)
// is as little of it as it is of a real one.
const std::vector<std::string> shapes[] = {
    {"--layers", "2", "--dim", "128", "--heads", "4", "--ffn", "512", "--context", "64", "--batch", "2"},
    {"--layers", "3",       "--dim",      "96",        "--heads",      "6",       "--kv-heads",
     "2",        "--ffn",   "256",        "--context", "48",           "--batch", "3",
     "--norm",   "rmsnorm", "--position", "rope",      "--activation", "swiglu",  "--bias=false"},
    {"--layers", "4", "--dim", "64", "--heads", "2", "--ffn", "256", "--context", "128", "--batch", "1", "--recompute",
     "block"}};

// Three steps, an evaluation, a text and a save; returns what was planned.
double train(const fs::path& out, std::vector<std::string> args, const std::string& device, const std::string& dtype) {
    args.insert(args.begin(), {"--model", "tiny"});
    args.insert(args.end(), {"--steps", "3", "--warmup", "0", "--eval-sequences", "2", "--sample-tokens", "4",
                             "--device", device, "--dtype", dtype, "--self-check", "off", "--out", out.string()});
    const Outcome o = run(args);
    EXPECT_EQ(o.code, Exit::done) << o.error;
    const Json begin = log_lines(out).at(0);
    const Options options = parse(args);
    const Plan plan = make_plan(config_from_json(begin["model"], "log"), options.batch,
                                dtype == "bf16" ? Dtype::bf16 : Dtype::fp32, options.recompute);
    return double(plan.memory.total());
}

}  // namespace

TEST(planned_memory, is_what_a_run_takes_on_the_cpu) {
    SKIP_WHERE_NOTHING_IS_SHIMMED();
    const Temporary first;
    train(first.path / "run", shapes[0], "cpu", "fp32");  // each thread has its scratch for matmuls, once a process
    for (const auto& shape : shapes) {
        const Temporary at;
        const uint64_t before = shims::aligned_bytes();
        const double planned = train(at.path / "run", shape, "cpu", "fp32");
        EXPECT_NEAR(double(shims::aligned_bytes() - before) / planned, 1, 0.02)
            << shape[1] << " layers, planned " << planned;
    }
}

TEST(planned_memory, is_what_a_run_takes_of_a_gpu) {
#if __has_include(<simt/simt.h>)
    for (const auto& shape : shapes)
        for (const char* dtype : {"fp32", "bf16"}) {
            const Temporary at;
            const simt::DeviceMemoryPeak peak;
            const double planned = train(at.path / "run", shape, "simt", dtype);
            EXPECT_NEAR(double(peak.bytes()) / planned, 1, 0.02)
                << dtype << ", " << shape[1] << " layers, planned " << planned;
        }
#else
    GTEST_SKIP() << "only the CPU's runtime (dev/simt) counts what is taken of it";
#endif
}
