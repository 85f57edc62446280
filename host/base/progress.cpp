#include "progress.h"
#include <fmt/core.h>
#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include "error.h"
#include "messages.h"
#include "terminal.h"
#include "utf8.h"

std::string short_count(double n) {
    const char* unit = "";
    for (const char* next : {"k", "M", "G", "T"}) {
        if (n < 999.5) break;
        n /= 1000;
        unit = next;
    }
    return fmt::format("{:.{}f}{}", n, *unit == 0 || n >= 99.95 ? 0 : n >= 9.995 ? 1 : 2, unit);
}

std::string grouped(uint64_t n) {
    std::string text = std::to_string(n);
    for (int at = int(text.size()) - 3; at > 0; at -= 3) text.insert(size_t(at), ",");
    return text;
}

std::string short_time(double seconds) {
    if (!std::isfinite(seconds)) return "?";
    const long s = std::lround(seconds);
    return s < 3600 ? fmt::format("{}:{:02}", s / 60, s % 60)
                    : fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
}

void print_piece(const std::string& text) {
    if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0) return;
    const int error = errno;
    throw Error(error == EPIPE ? Exit::done : Exit::io, "stdout", std::string("cannot write: ") + std::strerror(error),
                "is the disk full?");
}

namespace {
void show(const std::string& text) {
    if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout)) clearerr(stdout);
}
}  // namespace

Progress::Progress() : terminal(is_terminal()), colour(wants_colour()) {}

Progress::~Progress() { clear(); }

void Progress::clear() {
    if (shown) show("\r\033[K");
    shown = false;
}

void Progress::note(const std::string& text) {
    clear();
    show(text + "\n");
}

void Progress::status(const std::string& line, bool due) {
    const std::string text = printable(line);  // it may name a file
    if (!terminal) {
        if (due) note(text);
        return;
    }
    if (!due && seconds() - last < 0.1) return;
    last = seconds();
    const size_t columns = size_t(std::max(terminal_columns() - 1, 1));
    const std::string_view fits = std::string_view(text).substr(0, columns);
    show(fmt::format("\r\033[K{}{}{}", colour ? "\033[36m" : "", fits.substr(0, complete_utf8(fits)),
                     colour ? "\033[0m" : ""));
    shown = true;
}
