// Signals set flags that are read between steps. Ctrl-C (INT), TERM, USR1 and XCPU ask to save and stop; HUP, when a
// terminal goes away, and USR2 to save and go on.
//
// A second INT or TERM ends at once, but not within `grace` of the first (`timeout` sends TERM twice), and not within
// `longest_save` of it while a Saving lives. Ctrl-\ ends at any time.
#pragma once
#include <atomic>
#include <chrono>
#include <csignal>

inline std::atomic<bool> stop_requested = false, save_requested = false;
constexpr std::chrono::seconds grace{2}, longest_save{600};

// While it lives, something is being written that is worth a wait.
class Saving {
public:
    Saving() { under_way++; }
    ~Saving() { under_way--; }
    Saving(const Saving&) = delete;
    static inline std::atomic<int> under_way = 0;
};

// While it lives, the signals interrupt this thread's wait for input as well.
class Interruptible {
public:
    Interruptible();
    ~Interruptible() { pthread_sigmask(SIG_SETMASK, &before, nullptr); }
    Interruptible(const Interruptible&) = delete;

private:
    sigset_t before;
};

// To be called before any other thread begins: they take over which signals reach them. The signals go to a thread of
// their own, so that they interrupt no system call of the others.
void catch_signals();

// Waits until the open file has something to read, or its end. False: a signal asked to stop.
bool wait_for_input(int file);
