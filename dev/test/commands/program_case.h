// All of main, on a command line, and what it says.
#pragma once
#include "host/base/utf8.h"
#include "run_case.h"

using Args = std::vector<std::string>;

struct Said {
    int code;
    std::string out, error;
};

inline Said program(const Args& args) {
    stop_requested = false;
    Captured out, error(Captured::Stream::error);
    const int code = run_program(args);
    return {code, out.take(), error.take()};
}

// One line that no terminal obeys, and not a screenful.
inline bool is_readable(const std::string& text) {
    std::string repaired = text;
    const auto is_obeyed = [](unsigned char c) { return c < 32 || c == 127; };
    return text.ends_with('\n') && !std::any_of(text.begin(), text.end() - 1, is_obeyed) && text.size() < 2500 &&
           repair_utf8(repaired) == 0;
}
