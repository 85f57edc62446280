// What a user can cause ends as an Error, caught once, in main: one line on stderr and an exit code a script can read.
#pragma once
#include <stdexcept>
#include <string>
#include <vector>

enum class Exit {
    done = 0,
    internal = 1,
    usage = 2,
    input = 3,
    io = 4,
    device = 5,
    numeric = 6,
    locked = 7,
    stopped = 75
};

struct Error : std::runtime_error {
    Exit code;
    std::vector<std::string> lines;  // main prints each after "error: "; what() is all of them
    // Reads "WHAT: REASON; HINT": what it is about (a flag, a file, a tensor), why it cannot be, how to go on.
    Error(Exit code, const std::string& what, const std::string& reason, const std::string& hint = "")
        : Error(code, std::vector{what + ": " + reason + (hint.empty() ? "" : "; " + hint)}) {}
    // Several at once.
    Error(Exit code, const std::vector<std::string>& lines)
        : std::runtime_error(join(lines)), code(code), lines(lines) {}

private:
    static std::string join(const std::vector<std::string>& lines) {
        std::string all;
        for (const std::string& line : lines) all += (all.empty() ? "" : "\n") + line;
        return all;
    }
};

// For what cannot happen unless we have a bug.
#define REQUIRE(condition)                                                                                           \
    do {                                                                                                             \
        if (!(condition)) throw Error(Exit::internal, __func__, std::string("need ") + #condition, "please report"); \
    } while (0)
