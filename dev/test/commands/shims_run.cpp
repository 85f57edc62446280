// What the system may do to a run besides failing disks: reads and writes that come in pieces or are interrupted,
// memory that is gone, clocks that are wrong. None of it changes a bit of what a run that ends has saved.
#include <fmt/core.h>
#include <sys/syscall.h>
#include <map>
#include "child_case.h"
#include "dev/test/support/shims.h"
#include "dev/test/support/traced.h"
#include "host/base/run_lock.h"
#include "host/checkpoint/checkpoint.h"

namespace {

struct Calm {
    Temporary at;
    fs::path text = write_text(at), whole = at.path / "whole";
    std::vector<std::string> flags{"--save-every", "2", "--keep", "9", "--steps", "4", "--threads", "1"};
    Calm() { EXPECT_EQ(run(small(whole, text, flags)).code, Exit::done); }
    std::vector<std::string> args(const fs::path& out) const { return small(out, text, flags); }
    // Whatever was saved is what the calm run saved.
    void expect_right(const fs::path& out) const {
        if (!fs::exists(out)) return;
        for (const Checkpoint& c : list_checkpoints(out.string())) {
            open_checkpoint(c.path);
            EXPECT_EQ(weights_of(out, int(c.step)), weights_of(whole, int(c.step))) << c.path;
        }
    }
};

// train_gpt in a process that is watched.
int run_watched(const std::vector<std::string>& args, const OnCall& on_call) {
    return run_traced([&] { _exit(run_program(args)); }, on_call);
}

}  // namespace

TEST(shims, short_and_interrupted_reads_and_writes) {
    if (!can_trace()) GTEST_SKIP() << "no process may watch another here";
    const Calm calm;
    int n = 0;
    const auto disturb = [&](const SystemCall& call) -> Verdict {
        if ((!call.reads() && !call.writes()) || !call.file().starts_with(calm.at.path.string())) return {};
        n++;
        return n % 3 == 0 ? Verdict::fails(EINTR) : Verdict::of_at_most(1 + size_t(n) * 37 % 400);
    };
    const fs::path out = calm.at.path / "pieces";
    EXPECT_EQ(run_watched(calm.args(out), disturb), 0);
    EXPECT_GT(n, 100);
    EXPECT_EQ(list_checkpoints(out.string()).size(), 2u);
    calm.expect_right(out);
    EXPECT_EQ(losses(out), losses(calm.whole));
    fs::remove_all(out / "step_00000004");
    EXPECT_EQ(run_watched({"--resume", out.string(), "--threads", "1"}, disturb), 0);
    calm.expect_right(out);
    EXPECT_EQ(losses(out), losses(calm.whole));
}

// A disk that can be read no more.
TEST(shims, reads_that_fail_end_in_one_line) {
    if (!can_trace()) GTEST_SKIP() << "no process may watch another here";
    const Calm calm;
    for (int at = 0, tried = 0;; at++) {
        int n = 0;
        const int code = run_watched({"--resume", calm.whole.string(), "--threads", "1", "--steps", "5"},
                                     [&](const SystemCall& call) -> Verdict {
                                         const bool ours = call.file().starts_with(calm.at.path.string());
                                         return call.reads() && ours && n++ == at ? Verdict::fails(EIO) : Verdict{};
                                     });
        if (n <= at) break;
        EXPECT_TRUE(code == 0 || code == int(Exit::input) || code == int(Exit::io)) << code << " at read " << at;
        tried++;
        at += tried / 4;
        fs::remove_all(calm.whole / "step_00000005");
    }
    calm.expect_right(calm.whole);
}

// A sample of allocations; every Nth with SHIMS=N.
TEST(shims, memory_that_is_gone) {
    SKIP_WHERE_NOTHING_IS_SHIMMED();
    SKIP_WHERE_A_CHILD_HAS_NO_THREADS();
    const Calm calm;
    shims::fail_allocations(-1);
    ASSERT_EQ(run(calm.args(calm.at.path / "counted")).code, Exit::done);
    const int64_t all = shims::allocations();
    ASSERT_GT(all, 1000);
    const char* const asked = std::getenv("SHIMS");
    const int64_t stride = asked ? std::max(std::atol(asked), 1L) : all / 48;
    std::map<int, int> codes;
    for (int64_t number = 64; number < all; number += stride) {  // not those of the test itself
        const fs::path out = calm.at.path / fmt::format("out{}", number);
        const int64_t count = number / stride % 2 ? 1 : 1'000'000'000;
        Child child(calm.args(out), [=] { shims::fail_allocations(number, count); });
        const int code = child.wait();
        codes[code]++;
        EXPECT_TRUE(code == 0 || code == int(Exit::device) || code == int(Exit::internal) || code == int(Exit::io))
            << code << " at allocation " << number << (count > 1 ? " and all later ones" : "");
        calm.expect_right(out);
        fs::remove_all(out);
    }
    if (asked)
        for (const auto& [code, times] : codes) fmt::print("{} runs ended with {}\n", times, code);
}

TEST(shims, clocks_that_are_wrong) {
    SKIP_WHERE_NOTHING_IS_SHIMMED();
    const Calm calm;
    const struct {
        const char* name;
        shims::Clock clock;
        double each;
    } clocks[] = {{"frozen", shims::Clock::frozen, 0},
                  {"back", shims::Clock::jumps, -3600},
                  {"forward", shims::Clock::jumps, 86400 * 365.0}};
    for (const auto& c : clocks) {
        const fs::path out = calm.at.path / c.name;
        std::vector<std::string> args = calm.args(out);
        args.insert(args.end(), {"--tensorboard"});
        shims::set_clock(c.clock, c.each);
        const Outcome o = run(args);
        shims::set_clock(shims::Clock::right);
        EXPECT_EQ(o.code, Exit::done) << c.name << ": " << o.error;
        EXPECT_EQ(losses(out), losses(calm.whole)) << c.name;
        calm.expect_right(out);
        for (const Json& line : log_lines(out)) EXPECT_TRUE(line.is_object());
    }
}
