// What standard output can show.
#pragma once
#include <unistd.h>
#include <cstdlib>
#include <string_view>

// Lines can be rewritten there: a terminal that understands escape sequences.
inline bool is_terminal() {
    const char* kind = std::getenv("TERM");
    return isatty(STDOUT_FILENO) && !(kind && std::string_view(kind) == "dumb");
}

inline bool wants_colour() {
    const char* no = std::getenv("NO_COLOR");  // https://no-color.org: set, and not empty
    return is_terminal() && !(no && *no);
}
