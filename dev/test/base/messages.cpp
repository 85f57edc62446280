// What is said on stderr, whatever names it holds and wherever it goes.
#include "host/base/messages.h"
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>
#include "dev/test/support/captured.h"
#include "dev/test/support/temporary_directory.h"
#include "host/base/files.h"

TEST(messages, printable) {
    EXPECT_EQ(printable("plain, é, 中文, \"quoted\""), "plain, é, 中文, \"quoted\"");
    EXPECT_EQ(printable(std::string("a\0b", 3)), "a\\x00b");
    EXPECT_EQ(printable("\x1b[2J\r\nerror: forged\t\x7f"), "\\x1b[2J\\x0d\\x0aerror: forged\\x09\\x7f");
    EXPECT_EQ(printable("\u0085 \u009b2J \u202e \u2066 \u200f \u2028 \ufeff"),
              "\\x85 \\x9b2J \\u202e \\u2066 \\u200f \\u2028 \\ufeff");
    EXPECT_EQ(printable("\xff\xc3 \xed\xa0\x80"), "\\xff\\xc3 \\xed\\xa0\\x80");
    EXPECT_EQ(printable(""), "");
    for (const char* letter : {"x", "é", "中", "😀"}) {
        std::string text;
        while (text.size() < 10'000'000) text += letter;
        const std::string shown = printable(text + "; the hint");
        EXPECT_LT(shown.size(), 2000u);
        EXPECT_TRUE(shown.starts_with(letter) && shown.ends_with("; the hint")) << shown;
        EXPECT_EQ(shown.find("\\x"), shown.npos) << "cut within a character: " << shown;
    }
    EXPECT_EQ(printable(printable("\x1b")), "\\x1b");
}

TEST(messages, a_warning_is_one_line) {
    Captured error(Captured::Stream::error);
    warn("a\nwarning: b");
    EXPECT_EQ(error.take(), "warning: a\\x0awarning: b\n");
}

namespace {
// What a child returns whose descriptors 0 to 2 are closed.
int with_all_closed(int (*what)(const std::string&), const std::string& path) {
    const pid_t child = fork();
    if (child == 0) {
        for (int file = 0; file < 3; file++) close(file);
        open_standard_streams();
        _exit(what(path));
    }
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    return WEXITSTATUS(status);
}
}  // namespace

TEST(messages, closed_streams_are_not_given_to_files) {
    const Temporary at;
    const auto write_and_talk = [](const std::string& path) {
        files::Writer file(path);
        std::fputs("progress", stdout), std::fflush(stdout);
        warn("something");
        file.write("text", 4);
        file.close();
        return 0;
    };
    EXPECT_EQ(with_all_closed(write_and_talk, at / "file"), 0);
    EXPECT_EQ(files::read_file(at / "file", 100), "text");
}

TEST(messages, nobody_needs_to_hear_them) {
    const pid_t child = fork();
    if (child == 0) {
        dup2(open("/dev/full", O_WRONLY), STDERR_FILENO);
        for (int i = 0; i < 3; i++) warn("something");
        _exit(7);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(WEXITSTATUS(status), 7);
}
