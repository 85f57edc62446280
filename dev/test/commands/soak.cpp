// Random settings, and whatever a machine does to a run: it ends as if nothing had happened. `make soak MINUTES=30` goes
// on for as long as it is told; SOAK_SEED=N repeats one pair.
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <cstdlib>
#include <random>
#include "dev/test/support/traced.h"
#include "host/base/progress.h"
#include "twins.h"

namespace {

long number(const char* name, long otherwise) {
    const char* text = std::getenv(name);
    return text ? std::atol(text) : otherwise;
}

}  // namespace

TEST(soak, a_disturbed_run_ends_as_its_twin) {
    if (!can_trace()) GTEST_SKIP() << "no process may watch another here";
    TwinCounts counts;
    const long minutes = number("SOAK_MINUTES", 0), one = number("SOAK_SEED", -1);
    const double start = seconds(), end = start + 60.0 * double(minutes);
    double said = start;
    uint64_t seed = one >= 0 ? uint64_t(one) : minutes ? std::random_device()() : 1;
    const uint64_t last = one >= 0 ? seed + 1 : minutes ? ~uint64_t(0) : seed + uint64_t(number("SOAK_PAIRS", 300));
    for (; seed < last && (minutes == 0 || seconds() < end); seed++) {
        const std::string wrong = try_twins(seed, counts);
        EXPECT_EQ(wrong, "") << "again: SOAK_SEED=" << seed << " make soak";
        if (minutes && seconds() > said + 60) {
            said = seconds();
            fmt::print("{:3.0f} min: {}\n", (said - start) / 60, counts.text());
            std::fflush(stdout);
        }
    }
    if (minutes || one >= 0) fmt::print("{}\n", counts.text());
}
