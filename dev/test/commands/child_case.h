// `train_gpt` in a process of its own, as signals, closed descriptors and limits need it.
#pragma once
#include <sys/wait.h>
#include <unistd.h>
#include <functional>
#include <thread>
#include "host/base/messages.h"
#include "run_case.h"

// ThreadSanitizer allows no threads after a fork.
#ifdef __SANITIZE_THREAD__
#define SKIP_WHERE_A_CHILD_HAS_NO_THREADS() GTEST_SKIP()
#else
#define SKIP_WHERE_A_CHILD_HAS_NO_THREADS() static_assert(true)
#endif

// Waits for it: its exit code, or minus the signal that ended it.
inline int code_of(pid_t id) {
    int status = 0;
    EXPECT_EQ(waitpid(id, &status, 0), id);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

class Child {
public:
    // All of main, its output lost, on one thread, as a child has none of its parent's; `before` prepares the process.
    explicit Child(
        std::vector<std::string> args, const std::function<void()>& before = [] {}) {
        std::fflush(nullptr);
        id = fork();
        if (id != 0) return;
        if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr)) _exit(99);
        before();
        open_standard_streams();
        catch_signals();
        if (args[0] != "plan" && args[0] != "--help" && args[0] != "--version")
            args.insert(args.end(), {"--threads", "1"});
        _exit(run_program(args));
    }
    ~Child() {
        if (!ended) kill(id, SIGKILL), waitpid(id, nullptr, 0);
    }
    Child(const Child&) = delete;

    void signal(int number) const { kill(id, number); }
    int wait() {
        ended = true;
        return code_of(id);
    }
    bool lives() {
        if (!ended && waitpid(id, nullptr, WNOHANG) == id) ended = true;
        return !ended;
    }

private:
    pid_t id;
    bool ended = false;
};

inline void sleep_ms(int ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }

// Waits for it, a minute at most.
inline bool comes_true(const std::function<bool()>& what) {
    for (int i = 0; i < 6000 && !what(); i++) sleep_ms(10);
    return what();
}
