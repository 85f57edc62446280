// malloc that has nothing left, clocks that are wrong, and death at a line, for this whole process: the test program's
// own functions stand before the C library's. Not in builds with sanitizers, which have theirs.
#pragma once
#include <cstdint>
#include <string>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SKIP_WHERE_NOTHING_IS_SHIMMED() GTEST_SKIP() << "sanitizers have a malloc of their own"
#else
#define SKIP_WHERE_NOTHING_IS_SHIMMED() static_assert(true)
#endif

namespace shims {

// The Nth allocation from now on (the first is 0) fails, and `count` - 1 after it. Negative: none does.
void fail_allocations(int64_t number, int64_t count = 1);
int64_t allocations();  // since then

// kill -9 when the text is written to any file, before it is there or after.
enum class Death { before, after };
void die_at(const std::string& text, Death when);

// What clocks say: the truth, always the same moment, or the truth and so many seconds more, growing with every look.
enum class Clock { right, frozen, jumps };
void set_clock(Clock clock, double seconds_each_look = 0);

}  // namespace shims
