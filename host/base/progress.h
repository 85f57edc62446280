// What a person sees of a run: notes, and one line that is rewritten on a terminal and printed now and then elsewhere.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>

// Monotonic seconds: wall-clock time never decides anything.
inline double seconds() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::string short_count(double n);       // 950, 31.2k, 4.51M, 1.20G
std::string grouped(uint64_t n);         // 1,234,567
std::string short_time(double seconds);  // 0:07, 12:34, 1:02:03

// Writes a piece of text to stdout at once. Throws Error{io} if that fails; Error{done}, of which main says nothing, if
// the reader has gone, as `head` does when it has seen enough.
void print_piece(const std::string& text);

// Nobody needs to be able to read it: a run goes on.
class Progress {
public:
    Progress();
    void note(const std::string& text);              // a line that stays; multi-line text is kept as it is
    void status(const std::string& text, bool due);  // the rewritten line; elsewhere a line each time it is due
    bool on_terminal() const { return terminal; }
    void clear();  // removes the rewritten line
    ~Progress();

private:
    bool terminal, colour, shown = false;
    double last = 0;
};
