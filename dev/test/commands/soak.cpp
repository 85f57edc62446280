// Random settings, and whatever a machine does to a run: it ends as if nothing had happened. `make soak MINUTES=30`
// goes on for as long as it is told; SOAK_SEED=N repeats one pair.
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <cstdlib>
#include <random>
#include "dev/test/support/traced.h"
#include "host/base/progress.h"
#include "run_case.h"
#include "twins.h"

namespace {

long number(const char* name, long otherwise) {
    const char* text = std::getenv(name);
    return text ? std::atol(text) : otherwise;
}

// The CPU, and every tenth pair on the kernels' processor, in both storage types, where this machine has one.
RunsOn processor_of(uint64_t seed) {
    static const GpuFound gpu = find_gpu();
    if (seed % 10 != 0 || gpu.kind == GpuFound::Kind::none) return {};
    return {kernels_of(gpu), seed % 20 ? "fp32" : "bf16"};
}

// Pairs of twins with the seeds from `seed` on.
void try_pairs(uint64_t seed, uint64_t pairs, double until = 0) {
    if (!can_trace()) GTEST_SKIP() << "no process may watch another here";
    TwinCounts counts;
    const double start = seconds();
    double said = start;
    for (const uint64_t last = seed + pairs; seed < last && (until == 0 || seconds() < until); seed++) {
        const std::string wrong = try_twins(seed, processor_of(seed), counts);
        EXPECT_EQ(wrong, "") << "again: make soak SOAK_SEED=" << seed;
        if (until == 0 || seconds() < said + 60) continue;
        said = seconds();
        fmt::print("{:3.0f} min: {}\n", (said - start) / 60, counts.text());
        std::fflush(stdout);
    }
    if (until != 0 || pairs == 1) fmt::print("{}\n", counts.text());
}

}  // namespace

TEST(soak, seeds_1_to_100) { try_pairs(1, 100); }
TEST(soak, seeds_101_to_200) { try_pairs(101, 100); }
TEST(soak, seeds_201_to_300) { try_pairs(201, 100); }

// What `make soak` runs.
TEST(soak, DISABLED_for_as_long_as_asked) {
    if (const long one = number("SOAK_SEED", -1); one >= 0) return try_pairs(uint64_t(one), 1);
    try_pairs(std::random_device()(), ~uint64_t(0) >> 1, seconds() + 60.0 * double(number("SOAK_MINUTES", 1)));
}
