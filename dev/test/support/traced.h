// A function in a process of its own whose system calls on files are watched, and changed where a test wants a disk
// that fails, a call that is interrupted, or a kill -9 at just this moment. Linux on x86-64; no code of the program
// knows of it.
#pragma once
#include <cstdint>
#include <functional>
#include <string>

struct SystemCall {
    int process = 0;
    long number = -1;  // SYS_write, ...
    uint64_t arguments[6] = {};
    long result = 0;  // or minus the error; known when it has returned

    std::string text(int argument) const;                   // a C string of the process
    std::string bytes(int argument, size_t n) const;        // memory of the process
    std::string path_of_file(int argument) const;           // of an open file; "" if it has none
    std::string path(int directory_at, int name_at) const;  // absolute: of openat and the like
    std::string file() const;                               // whatever it is about: the path of its file; or ""
    bool writes() const;                                    // data: write, pwrite
    bool reads() const;
};

struct Verdict {
    enum class Kind { pass, fail, at_most, kill } kind = Kind::pass;
    int64_t value = 0;  // the error, or the number of bytes

    static Verdict fails(int error) { return {Kind::fail, error}; }
    static Verdict of_at_most(size_t bytes) { return {Kind::at_most, int64_t(bytes)}; }
    static Verdict kills() { return {Kind::kill, 0}; }
};

using OnCall = std::function<Verdict(const SystemCall&)>;  // before it is done
using OnResult = std::function<void(const SystemCall&)>;   // after; not of one that kills

// Whether this machine lets a process be watched; ThreadSanitizer does not.
bool can_trace();

// Its exit code, or minus the signal that ended it. Output goes to /dev/null.
int run_traced(const std::function<void()>& body, const OnCall& on_call, const OnResult& on_result = nullptr);
