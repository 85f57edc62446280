#include "signals.h"
#include <poll.h>
#include <unistd.h>
#include <cerrno>
#include <system_error>
#include <thread>

namespace {

constexpr int caught[] = {SIGINT, SIGTERM, SIGUSR1, SIGXCPU, SIGHUP, SIGUSR2};

sigset_t caught_signals() {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : caught) sigaddset(&set, signal);
    return set;
}

int64_t nanoseconds() {
    timespec now = {};
    clock_gettime(CLOCK_MONOTONIC, &now);  // a handler may call this
    return now.tv_sec * int64_t(1'000'000'000) + now.tv_nsec;
}

std::atomic<int64_t> first_asked = 0;  // by INT or TERM; 0: not yet

void handle(int signal) {
    if (signal == SIGHUP || signal == SIGUSR2) {
        save_requested = true;
        return;
    }
    const bool again = stop_requested.exchange(true);
    if (signal != SIGINT && signal != SIGTERM) {  // XCPU comes every second
        if (!again) first_asked = 0;
        return;
    }
    if (!again || first_asked == 0) {
        first_asked = nanoseconds();
        return;
    }
    const std::chrono::nanoseconds since(nanoseconds() - first_asked);
    if (since < grace || (Saving::under_way && since < longest_save)) return;
    _exit(128 + signal);
}

}  // namespace

Interruptible::Interruptible() {
    const sigset_t set = caught_signals();
    pthread_sigmask(SIG_UNBLOCK, &set, &before);
}

void catch_signals() {
    const sigset_t set = caught_signals();
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    struct sigaction action = {};
    action.sa_handler = handle;
    for (const int signal : caught) sigaction(signal, &action, nullptr);
    for (const int signal : {SIGPIPE, SIGXFSZ})
        std::signal(signal, SIG_IGN);  // become errors of the write that caused them
    try {
        std::thread([] {
            const Interruptible here;
            for (;;) pause();
        }).detach();
    } catch (const std::system_error&) {  // no thread to be had: this one takes them
        pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
    }
}

bool wait_for_input(int file) {
    pollfd input = {file, POLLIN, 0};
    while (!stop_requested) {
        const int ready = poll(&input, 1, 100);  // milliseconds: a signal may come just before
        if (ready > 0 || (ready < 0 && errno != EINTR)) return true;
    }
    return false;
}
