// Tests of captured.h itself.
#include "captured.h"
#include <cstdio>
#include <stdexcept>

TEST(captured, ends_when_something_throws) {
    const auto fails = [] {
        const Captured out, error(Captured::Stream::error);
        std::puts("nobody sees this");
        throw std::runtime_error("it fails");
    };
    for (int i = 0; i < 2; i++) EXPECT_THROW(fails(), std::runtime_error);
    Captured out, error(Captured::Stream::error);
    std::puts("one");
    std::fputs("two", stderr);
    EXPECT_EQ(out.take(), "one\n");
    EXPECT_EQ(error.take(), "two");
}
