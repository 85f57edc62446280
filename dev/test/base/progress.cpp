// What a person sees: a rewritten line on a terminal, coloured unless NO_COLOR says no; plain lines in a pipe.
#include "host/base/progress.h"
#include <gtest/gtest.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cstdlib>

namespace {

enum class Where { terminal, pipe };

// What a process writes to its standard output, which is such a one; no_color null: not set.
std::string shown(Where where, const char* no_color, unsigned short columns = 80, const char* kind = "xterm",
                  const std::string& first = "  1%  step 1/100") {
    int ends[2];
    winsize size{.ws_row = 24, .ws_col = columns, .ws_xpixel = 0, .ws_ypixel = 0};
    EXPECT_EQ(where == Where::pipe ? pipe(ends) : openpty(&ends[0], &ends[1], nullptr, nullptr, &size), 0);
    std::fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        if (no_color) setenv("NO_COLOR", no_color, 1);
        else unsetenv("NO_COLOR");
        setenv("TERM", kind, 1);
        {
            Progress progress;
            progress.note("model tiny");
            progress.status(first, false);
            progress.status(" 50%  step 50/100", true);
            progress.note("done");
        }
        _exit(0);
    }
    close(ends[1]);
    std::string text;
    char buffer[512];
    for (ssize_t n; (n = read(ends[0], buffer, sizeof buffer)) > 0;)
        text.append(buffer, size_t(n));  // a terminal ends with an error
    close(ends[0]);
    waitpid(child, nullptr, 0);
    return text;
}

}  // namespace

TEST(progress, plain_lines_in_a_pipe) {
    EXPECT_EQ(shown(Where::pipe, nullptr), "model tiny\n 50%  step 50/100\ndone\n");
}

TEST(progress, one_rewritten_line_on_a_terminal) {
    const std::string line = "\r\033[K\033[36m", end = "\033[0m", gone = "\r\033[K";
    EXPECT_EQ(shown(Where::terminal, nullptr), "model tiny\r\n" + line + "  1%  step 1/100" + end + line +
                                                   " 50%  step 50/100" + end + gone + "done\r\n");
    EXPECT_EQ(shown(Where::terminal, ""), shown(Where::terminal, nullptr));  // no-color.org: only if it is not empty
}

TEST(progress, names_in_the_line_move_no_cursor) {
    const std::string hostile = shown(Where::terminal, "1", 80, "xterm", "reading a\033[2J\nb");
    EXPECT_NE(hostile.find("reading a\\x1b[2J\\x0ab"), std::string::npos) << hostile;
}

TEST(progress, no_color_is_heeded) {
    EXPECT_EQ(shown(Where::terminal, "1"),
              "model tiny\r\n\r\033[K  1%  step 1/100\r\033[K 50%  step 50/100\r\033[Kdone\r\n");
}

TEST(progress, a_dumb_terminal_gets_plain_lines) {
    EXPECT_EQ(shown(Where::terminal, nullptr, 80, "dumb"), "model tiny\r\n 50%  step 50/100\r\ndone\r\n");
}

TEST(progress, a_narrow_terminal_gets_a_short_line) {
    EXPECT_NE(shown(Where::terminal, "1", 9).find("\r\033[K  1%  st\r\033[K"), std::string::npos);
}

TEST(progress, numbers_for_people) {
    EXPECT_EQ(short_count(950), "950");
    EXPECT_EQ(short_count(31200), "31.2k");
    EXPECT_EQ(short_count(4.51e6), "4.51M");
    EXPECT_EQ(short_count(999499), "999k");
    EXPECT_EQ(short_time(7), "0:07");
    EXPECT_EQ(short_time(754), "12:34");
    EXPECT_EQ(short_time(3723), "1:02:03");
}
