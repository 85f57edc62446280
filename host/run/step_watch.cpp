#include "step_watch.h"
#include <fmt/core.h>
#include <unistd.h>
#include <chrono>
#include <cstdio>
#include <utility>
#include "host/base/error.h"
#include "host/base/signals.h"

StepWatch::StepWatch(double seconds, std::function<void()> too_late) : limit(seconds), too_late(std::move(too_late)) {
    if (limit > 0) thread = std::thread([this] { watch(); });
}

StepWatch::~StepWatch() {
    {
        const std::lock_guard lock(mutex);
        over = true;
    }
    changed.notify_all();
    if (thread.joinable()) thread.join();
}

void StepWatch::begin() {
    if (limit <= 0) return;
    const std::lock_guard lock(mutex);
    deadline = seconds() + limit;
    changed.notify_all();
}

void StepWatch::pause() {
    const std::lock_guard lock(mutex);
    deadline.reset();
}

void StepWatch::watch() {
    std::unique_lock lock(mutex);
    while (!over) {
        if (!deadline) {
            changed.wait(lock);
            continue;
        }
        const double left = *deadline - seconds();
        if (left <= 0) return lock.unlock(), too_late();
        changed.wait_for(lock, std::chrono::duration<double>(left));
    }
}

void end_a_hung_run(double limit) {
    const std::string line = fmt::format(
        "error: step: took longer than --step-timeout {:g} s; is the GPU hung (nvidia-smi)? --resume goes on from the "
        "last checkpoint\n",
        limit);
    std::fwrite(line.data(), 1, line.size(), stderr);
    const double patience = seconds() + std::chrono::duration<double>(longest_save).count();
    while (Saving::under_way && seconds() < patience) std::this_thread::sleep_for(std::chrono::milliseconds(50));
    _exit(int(Exit::device));
}
