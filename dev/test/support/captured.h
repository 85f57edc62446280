// What is written to stdout or stderr in its life: it ends with that, also when something throws. gtest allows one at a
// time of each, and ends the program at a second.
#pragma once
#include <gtest/gtest.h>
#include <string>

class Captured {
public:
    enum class Stream { out, error };
    explicit Captured(Stream stream = Stream::out) : stream(stream) {
        stream == Stream::out ? testing::internal::CaptureStdout() : testing::internal::CaptureStderr();
    }
    ~Captured() {
        if (!taken) take();
    }
    Captured(const Captured&) = delete;
    std::string take() {  // once: it ends the capture
        taken = true;
        return stream == Stream::out ? testing::internal::GetCapturedStdout() : testing::internal::GetCapturedStderr();
    }

private:
    const Stream stream;
    bool taken = false;
};
