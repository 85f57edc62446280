// Signals: what a scheduler, a terminal or a user sends, in whatever order, costs no checkpoint.
#include "host/base/signals.h"
#include "child_case.h"
#include "host/base/files.h"
#include "host/checkpoint/checkpoint.h"

namespace {

// More steps than a test waits for, and no save until it is asked for.
std::vector<std::string> endless(const fs::path& out, const fs::path& text) {
    return small(out, text, {"--steps", "100000000", "--eval-every", "0"});
}

bool trains(const fs::path& out) {
    return comes_true([&] { return fs::exists(out / "log.jsonl"); });
}

int checkpoints(const fs::path& run) { return int(list_checkpoints(run.string()).size()); }

// Sends this process a signal, and waits until it has come.
void receive(int signal) {
    kill(getpid(), signal);
    while (!stop_requested) std::this_thread::yield();
}

}  // namespace

// `timeout` signals its child and then the child's group.
TEST(signals, two_at_once_are_one) {
    SKIP_WHERE_A_CHILD_HAS_NO_THREADS();
    const Temporary at;
    const fs::path text = write_text(at);
    for (const int number : {SIGTERM, SIGINT}) {
        const fs::path out = at.path / std::to_string(number);
        Child child(endless(out, text));
        ASSERT_TRUE(trains(out));
        for (int i = 0; i < 3; i++) child.signal(number), sleep_ms(2);
        EXPECT_EQ(child.wait(), int(Exit::stopped));
        EXPECT_TRUE(fs::exists(out / "latest/manifest.json"));
    }
}

TEST(signals, a_second_one_waits_for_a_save) {
    SKIP_WHERE_A_CHILD_HAS_NO_THREADS();
    const Temporary at;
    const fs::path out = at.path / "run";
    auto args = endless(out, write_text(at));  // training goes on beside the save
    args.insert(args.end(), {"--save-every", "4"});
    Child child(args, [] {
        files::before_operation = [](const char*, const std::string& path) {
            if (path.find("step_") == std::string::npos) return;
            files::before_operation = nullptr;
            receive(SIGTERM);
            std::this_thread::sleep_for(grace + std::chrono::milliseconds(200));
            kill(getpid(), SIGTERM);
            sleep_ms(300);
        };
    });
    EXPECT_EQ(child.wait(), int(Exit::stopped));
    EXPECT_TRUE(fs::exists(out / "latest/manifest.json"));
}

TEST(signals, a_second_one_ends_what_saves_nothing) {
    SKIP_WHERE_A_CHILD_HAS_NO_THREADS();
    const pid_t child = fork();
    if (child == 0) {
        catch_signals();
        receive(SIGTERM);
        std::this_thread::sleep_for(grace + std::chrono::milliseconds(200));
        kill(getpid(), SIGTERM);
        sleep_ms(5000);
        _exit(0);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(WEXITSTATUS(status), 128 + SIGTERM);
}

TEST(signals, hang_up_and_usr2_save_and_go_on) {
    SKIP_WHERE_A_CHILD_HAS_NO_THREADS();
    const Temporary at;
    const fs::path text = write_text(at);
    for (const int number : {SIGHUP, SIGUSR2}) {
        const fs::path out = at.path / std::to_string(number);
        Child child(endless(out, text));
        ASSERT_TRUE(trains(out));
        child.signal(number);
        EXPECT_TRUE(comes_true([&] { return checkpoints(out) == 1; }));
        sleep_ms(50);
        EXPECT_TRUE(child.lives());
        child.signal(SIGTERM);
        EXPECT_EQ(child.wait(), int(Exit::stopped));
        EXPECT_EQ(checkpoints(out), 2);
    }
}

// The limit of processor time sends one every second.
TEST(signals, xcpu_and_usr1_save_and_stop_however_many) {
    SKIP_WHERE_A_CHILD_HAS_NO_THREADS();
    const Temporary at;
    const fs::path text = write_text(at);
    for (const int number : {SIGXCPU, SIGUSR1}) {
        const fs::path out = at.path / std::to_string(number);
        Child child(endless(out, text));
        ASSERT_TRUE(trains(out));
        for (int i = 0; i < 3; i++) child.signal(number), sleep_ms(5);
        EXPECT_EQ(child.wait(), int(Exit::stopped));
        EXPECT_EQ(checkpoints(out), 1);
    }
}

// Waiting for input, a command ends at the first one.
TEST(signals, end_a_wait_for_input) {
    SKIP_WHERE_A_CHILD_HAS_NO_THREADS();
    const Temporary at;
    const fs::path pipe = at.path / "pipe";
    ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
    for (const std::string& data : {std::string("-"), pipe.string()}) {
        int ends[2];
        ASSERT_EQ(::pipe(ends), 0);  // nobody writes into it
        Child child({"tokenize", "--tokenizer", "byte", "--separator", "none", "--data", data, "--out", at / "out"},
                    [&] { dup2(ends[0], STDIN_FILENO); });
        sleep_ms(300);
        EXPECT_TRUE(child.lives());
        child.signal(SIGINT);
        EXPECT_TRUE(comes_true([&] { return !child.lives(); })) << data;
        EXPECT_FALSE(fs::exists(at.path / "out"));
        close(ends[0]), close(ends[1]);
    }
}
