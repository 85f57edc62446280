// Ctrl-C and a scheduler's SIGTERM set a flag that the training loop reads between steps; a second one ends at once.
#pragma once
#include <csignal>
#include <unistd.h>

inline volatile std::sig_atomic_t stop_requested = 0;

inline void catch_signals() {
    auto on_stop = +[](int) {
        if (stop_requested) _exit(130);
        stop_requested = 1;
    };
    struct sigaction action = {};
    action.sa_handler = on_stop;
    for (int signal : {SIGINT, SIGTERM, SIGUSR1}) sigaction(signal, &action, nullptr);
    for (int signal : {SIGPIPE, SIGXFSZ}) std::signal(signal, SIG_IGN);    // become errors of the write that caused them
}
