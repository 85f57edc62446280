#include "saver.h"
#include <system_error>
#include <utility>
#include "host/base/signals.h"

void Saver::begin(std::unique_ptr<Snapshot> snapshot, Copies copies, std::function<void()> write) {
    wait();
    values = std::move(snapshot);
    problem = nullptr;
    ended = false;
    const auto work = [this, copies, write = std::move(write), saving = std::make_shared<Saving>()] {
        try {
            if (copies == Copies::at_once) values->detach();
            write();
        } catch (...) { problem = std::current_exception(); }
        if (values) values->end();
        ended = true;
    };
    if (copies == Copies::before && !values->detach_now()) return work();  // no memory for copies
    try {
        thread = std::thread(work);
    } catch (const std::system_error&) {  // no thread to be had
        if (values) values->hurry();
        work();
    }
}

void Saver::before_change() {
    if (!ended && values) values->detach();
}

void Saver::wait() {
    if (values) values->hurry();
    if (thread.joinable()) thread.join();
}

std::exception_ptr Saver::finish() {
    wait();
    values.reset();
    return std::exchange(problem, nullptr);
}
