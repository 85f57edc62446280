// Whether colours are welcome on standard output.
#pragma once
#include <unistd.h>
#include <cstdlib>

inline bool wants_colour() {
    const char* no = std::getenv("NO_COLOR");  // https://no-color.org: set, and not empty
    return isatty(STDOUT_FILENO) && !(no && *no);
}
