// What standard output can show.
#pragma once
#include <sys/ioctl.h>
#include <unistd.h>
#include <cstdlib>
#include <string_view>

// mpirun gives the processes it starts a terminal of its making, wherever its own output goes. So they take theirs for
// one only where the program that had mpirun started says so, and how wide its own is.
constexpr const char* columns_variable = "GPT_CU_COLUMNS";

// Lines can be rewritten there: a terminal that understands escape sequences.
inline bool is_terminal() {
    if (std::getenv("OMPI_COMM_WORLD_RANK") && !std::getenv(columns_variable)) return false;
    const char* kind = std::getenv("TERM");
    return isatty(STDOUT_FILENO) && !(kind && std::string_view(kind) == "dumb");
}

inline bool wants_colour() {
    const char* no = std::getenv("NO_COLOR");  // https://no-color.org: set, and not empty
    return is_terminal() && !(no && *no);
}

inline int terminal_columns() {
    winsize size = {};
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
    const char* told = std::getenv(columns_variable);
    const int columns = told ? std::atoi(told) : 0;
    return columns > 0 ? columns : 120;
}
