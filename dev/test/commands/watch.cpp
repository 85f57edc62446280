// `train_gpt watch`: whatever the run does meanwhile, the report is whole, and tells how the run stands.
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include "child_case.h"
#include "dev/test/support/html_faults.h"
#include "dev/test/support/text_search.h"
#include "host/base/run_lock.h"

namespace {

std::vector<std::string> watch(const fs::path& run) { return {"watch", run.string(), "--every", "0.1"}; }

std::string page_of(const fs::path& run) {
    const fs::path page = run / "report.html";
    return fs::exists(page) ? files::read_file(page.string(), 1 << 26) : "";
}
bool reloads(const std::string& page) { return has(page, "http-equiv=\"refresh"); }

std::string step_line(int step) {
    return fmt::format("{{\"step\":{},\"loss\":{}.5,\"lr\":0.1,\"grad_norm\":1,\"tokens\":{},\"ms\":3}}\n", step,
                       100 - step, step * 32);
}

// The log of a run of two steps, in a directory of its own.
struct Written {
    const Temporary at;
    const fs::path out = at.path / "run";
    std::string log;

    Written() {
        EXPECT_EQ(run(small(out, write_text(at), {"--steps", "2"})).code, Exit::done);
        log = files::read_file((out / "log.jsonl").string(), 1 << 20);
        log = log.substr(0, log.find('\n') + 1);
    }
    void write(const std::string& lines) const { overwrite((out / "log.jsonl").string(), log + lines); }
};

TEST(watch, from_before_the_beginning_to_the_end) {
    SKIP_WHERE_A_CHILD_HAS_NO_THREADS();
    const Temporary at;
    const fs::path out = at.path / "run", text = write_text(at);
    Child watcher(watch(out));
    sleep_ms(250);
    EXPECT_TRUE(watcher.lives()) << "it waits for a run that has not begun";
    EXPECT_FALSE(fs::exists(out)) << "and makes nothing";
    Child training(small(out, text, {"--steps", "100000000", "--eval-every", "0", "--save-every", "50"}));
    ASSERT_TRUE(comes_true([&] { return reloads(page_of(out)); }));
    EXPECT_TRUE(has(page_of(out), ">training</span>"));
    ASSERT_TRUE(comes_true([&] { return has(page_of(out), "id=\"explorer\""); })) << "of the checkpoint";
    training.signal(SIGTERM);
    EXPECT_EQ(training.wait(), int(Exit::stopped));
    EXPECT_EQ(watcher.wait(), int(Exit::done));
    EXPECT_TRUE(has(page_of(out), ">stopped</span>"));
    EXPECT_FALSE(reloads(page_of(out)));
    EXPECT_EQ(html_fault(page_of(out)), "");
    for (const std::string& name : files::list(out.string())) EXPECT_FALSE(name.starts_with(".tmp")) << name;
}

TEST(watch, ends_at_a_signal_and_leaves_a_page_that_stays) {
    SKIP_WHERE_A_CHILD_HAS_NO_THREADS();
    const Written one;
    one.write(step_line(1));
    const files::RunLock lock(one.out.string());  // as if it went on
    Child watcher(watch(one.out));
    ASSERT_TRUE(comes_true([&] { return reloads(page_of(one.out)); }));
    watcher.signal(SIGINT);
    EXPECT_EQ(watcher.wait(), int(Exit::stopped));
    EXPECT_FALSE(reloads(page_of(one.out)));
    EXPECT_TRUE(has(page_of(one.out), ">training</span>"));
}

TEST(watch, a_line_that_is_being_written_is_waited_for) {
    SKIP_WHERE_A_CHILD_HAS_NO_THREADS();
    const Written one;
    const files::RunLock lock(one.out.string());
    const std::string line = step_line(2);
    one.write(line.substr(0, 20));
    fs::remove(one.out / "report.html");
    Child watcher(watch(one.out));
    sleep_ms(400);
    EXPECT_TRUE(watcher.lives()) << "there is no step yet";
    EXPECT_FALSE(fs::exists(one.out / "report.html"));
    one.write(step_line(1) + line.substr(0, 20));
    ASSERT_TRUE(comes_true([&] { return has(page_of(one.out), ">99.5000<"); }));
    EXPECT_FALSE(has(page_of(one.out), ">98.5000<"));
    one.write(step_line(1) + line);
    EXPECT_TRUE(comes_true([&] { return has(page_of(one.out), ">98.5000<"); }));
    one.write(step_line(1) + line + "{\"end\":\"finished\",\"at_step\":2}\n");
    EXPECT_EQ(watcher.wait(), int(Exit::done));
    EXPECT_TRUE(has(page_of(one.out), ">finished</span>"));
}

TEST(watch, ends_with_a_run_that_nobody_goes_on_with) {
    const Written one;
    one.write(step_line(1));
    const Outcome o = run(watch(one.out));
    EXPECT_EQ(o.code, Exit::done) << o.error;
    EXPECT_TRUE(has(o.out, "stopped: ") && has(o.out, "after step 1, wrote")) << o.out;
    EXPECT_TRUE(has(page_of(one.out), "and no last word"));
    EXPECT_FALSE(reloads(page_of(one.out)));
    one.write("");
    const Outcome none = run(watch(one.out));
    EXPECT_EQ(none.code, Exit::input);
    EXPECT_TRUE(has(none.error, "ended before its first step")) << none.error;
}

TEST(watch, refuses_what_is_no_run) {
    const Temporary at;
    overwrite(at / "file", "x");
    const Outcome file = run({"watch", at / "file"});
    EXPECT_EQ(file.code, Exit::input);
    EXPECT_TRUE(has(file.error, "is not a directory")) << file.error;
    const Outcome other = run({"watch", at.path.string()});
    EXPECT_EQ(other.code, Exit::input);
    EXPECT_TRUE(has(other.error, "is no run: it has no log.jsonl; name the directory of a run")) << other.error;
    EXPECT_EQ(run({"watch"}).code, Exit::usage);
    EXPECT_EQ(run({"watch", "a", "b"}).code, Exit::usage);
    EXPECT_EQ(run({"watch", "a", "--every", "0"}).code, Exit::usage);
    overwrite(at / "log.jsonl", "{\"mine\":1}\n");
    const Outcome foreign = run({"watch", at.path.string()});
    EXPECT_EQ(foreign.code, Exit::input);
    EXPECT_TRUE(has(foreign.error, "does not begin with the run's flags and model")) << foreign.error;
}

// Looking whether a run goes on must not keep it from going on.
TEST(watch, looking_at_a_lock_takes_it_from_nobody) {
    const Temporary at;
    EXPECT_FALSE(files::RunLock::is_held(at.path.string()));
    { const files::RunLock lock(at.path.string()); }
    EXPECT_FALSE(files::RunLock::is_held(at.path.string())) << "a lock that is left";
    const int file = open((at / ".lock").c_str(), O_RDONLY);
    ASSERT_EQ(flock(file, LOCK_SH | LOCK_NB), 0);  // as a look does, but for longer
    const std::jthread looker([&] {
        sleep_ms(30);
        close(file);
    });
    const files::RunLock lock(at.path.string());
    EXPECT_TRUE(files::RunLock::is_held(at.path.string()));
}

}  // namespace
