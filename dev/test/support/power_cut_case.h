// What tests of power cuts share: how many states they look at, and what they say.
#pragma once
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <cstdlib>
#include "power_cut.h"
#include "traced.h"

#define SKIP_WHERE_NOTHING_IS_TRACED() \
    if (!can_trace()) GTEST_SKIP() << "no process may watch another here"

// POWER_CUT=all: every state, and their number. Else every `sample`th.
inline bool every_power_cut() {
    const char* all = std::getenv("POWER_CUT");
    return all && std::string(all) == "all";
}
inline size_t power_cut_stride(size_t sample) { return every_power_cut() ? 1 : sample; }

inline void say(const std::string& what, const power_cut::Count& count) {
    fmt::print("{:<34} {:>7} states, {:>6} different, {:>6} looked at, {:>5} violations{}\n", what, count.states,
               count.different, count.looked_at, count.violations,
               count.first.empty() ? "" : "; the first: " + count.first);
}

inline void expect_no_violation(const std::string& what, const power_cut::Count& count) {
    EXPECT_GT(count.looked_at, 5u) << what;
    EXPECT_EQ(count.violations, 0u) << what << ": " << count.first;
    if (every_power_cut()) say(what, count);
}
