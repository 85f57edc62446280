// Ctrl-C and a scheduler's SIGTERM set a flag that the training loop reads between steps; a second one ends at once.
//
// Signals go to a thread of their own, so that they interrupt no system call of the others.
#pragma once
#include <unistd.h>
#include <atomic>
#include <csignal>
#include <thread>

inline std::atomic<bool> stop_requested = false;

inline sigset_t stop_signals() {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) sigaddset(&set, signal);
    return set;
}

// While it lives, the signals interrupt this thread's wait for input as well.
class Interruptible {
public:
    Interruptible() {
        const sigset_t set = stop_signals();
        pthread_sigmask(SIG_UNBLOCK, &set, &before);
    }
    ~Interruptible() { pthread_sigmask(SIG_SETMASK, &before, nullptr); }
    Interruptible(const Interruptible&) = delete;

private:
    sigset_t before;
};

// To be called before any other thread begins: they take over which signals reach them.
inline void catch_signals() {
    const sigset_t set = stop_signals();
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    struct sigaction action = {};
    action.sa_handler = +[](int) {
        if (stop_requested.exchange(true)) _exit(130);
    };
    for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) sigaction(signal, &action, nullptr);
    for (const int signal : {SIGPIPE, SIGXFSZ})
        std::signal(signal, SIG_IGN);  // become errors of the write that caused them
    std::thread([] {
        const Interruptible here;
        for (;;) pause();
    }).detach();
}
