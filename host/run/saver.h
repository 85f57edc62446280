// Saves in a thread of its own. One save at a time: the next one waits for it, and so does whoever ends.
#pragma once
#include <atomic>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include "snapshot.h"

class Saver {
public:
    Saver() = default;
    ~Saver() { wait(); }
    Saver(const Saver&) = delete;

    // at_once: by the thread, from memory that only a device reaches fast. before: by the caller, who alone can read.
    enum class Copies { at_change, at_once, before };
    // `write` reads of the snapshot, if there is one, and may throw. Nothing may be under way.
    void begin(std::unique_ptr<Snapshot> values, Copies copies, std::function<void()> write);
    void before_change();                // of the weights
    bool done() const { return ended; }  // or nothing was begun
    void wait();
    std::exception_ptr finish();  // waits; what `write` threw

    enum class When { done, now };  // if it is done; when it will be

private:
    std::unique_ptr<Snapshot> values;
    std::exception_ptr problem;
    std::atomic<bool> ended = true;
    std::thread thread;
};
