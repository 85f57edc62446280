// What the benchmarks on a GPU share.
#pragma once
#include <optional>
#include "bench_table.h"
#include "host/model/config.h"

struct BenchModel {
    std::string name;
    int B;
    Config config;
};
std::vector<BenchModel> bench_models();  // GPT-2 124M and 1558M, Qwen3 0.6B
inline Config with_context(Config c, int T) { return c.T = T, c; }

// Measured once; none without a GPU, which is said once.
const std::optional<Ceilings>& ceilings();

// Trains a few steps on random tokens, in as large a batch as fits (at most the model's).
EndToEnd train_end_to_end(const BenchModel& model, double budget);  // seconds to spend on it, if steps are shorter

// A step's kernels one by one, and the step as it is without that.
struct StepProfile {
    std::vector<StepShare> shares;
    double seconds;
    GpuState state = {};
};
StepProfile profile_step(const BenchModel& model);

// Seconds below which no step of the model can be, if its kernels ran one after another.
double step_limit(const BenchModel& model, const Ceilings& gpu);
