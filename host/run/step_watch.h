// Ends the process when a step takes longer than it may (--step-timeout): a kernel or a GPU that hangs cannot be called
// back, and nothing can be saved from it.
#pragma once
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include "host/base/progress.h"

[[noreturn]] void end_a_hung_run(double seconds);  // says so, lets a save in the background end, and exits

class StepWatch {
public:
    // 0 seconds: no watch. `too_late` is called in a thread of the watch.
    StepWatch(double seconds, std::function<void()> too_late);
    ~StepWatch();
    StepWatch(const StepWatch&) = delete;

    void begin();  // a step, or the next one
    void pause();  // something else is being done

private:
    void watch();

    const double limit;
    const std::function<void()> too_late;
    std::mutex mutex;
    std::condition_variable changed;
    std::optional<double> deadline;
    bool over = false;
    std::thread thread;
};
