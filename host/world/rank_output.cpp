#include "rank_output.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include "host/base/messages.h"

namespace {

void put(int file, const std::string& text) {
    if (write(file, text.data(), text.size()) < 0) return;  // nobody needs to be able to read it
}

void print_into(int file) {
    std::fflush(stdout);
    for (const int stream : {STDOUT_FILENO, STDERR_FILENO}) dup2(file, stream);
}

}  // namespace

std::string rank_log_name(int rank) { return "rank_" + std::to_string(rank) + ".log"; }

bool is_rank_log(const std::string& name) {
    const std::string begin = "rank_", end = ".log";
    return name.starts_with(begin) && name.ends_with(end) && name.size() > begin.size() + end.size() &&
           name.find_first_not_of("0123456789", begin.size()) == name.size() - end.size();
}

RankOutput::RankOutput(int rank) : rank(rank) {
    if (rank == 0) return;
    stderr_before = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    kept = memfd_create("rank_output", MFD_CLOEXEC);
    if (kept < 0) return;
    print_into(kept);
    put(kept, rank_log_begin + std::to_string(rank) + ": process " + std::to_string(getpid()) + "\n");
}

RankOutput::~RankOutput() {
    if (kept >= 0) close(kept);
    if (stderr_before >= 0) close(stderr_before);
}

void RankOutput::move_to(const std::string& directory) {
    if (kept < 0) return;
    const std::string path = directory + "/" + rank_log_name(rank);
    const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (file < 0) {  // another machine may not have the directory
        warn(path + ": " + std::strerror(errno) + "; what this rank prints is not kept");
        return;
    }
    std::fflush(stdout);
    char text[4096];
    off_t at = 0;
    for (ssize_t n; (n = pread(kept, text, sizeof text, at)) > 0; at += n) put(file, std::string(text, size_t(n)));
    print_into(file);
    close(file);
    close(kept);
    kept = -1;
}

void RankOutput::complain(const std::string& text) const {
    put(STDERR_FILENO, "error: " + printable(text) + "\n");
    if (rank > 0) put(stderr_before, "error: rank " + std::to_string(rank) + ": " + printable(text) + "\n");
}
