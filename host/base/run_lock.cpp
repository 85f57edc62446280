#include "run_lock.h"
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include "error.h"
#include "files.h"

namespace files {

namespace {

bool same_file(const struct stat& a, const struct stat& b) { return a.st_dev == b.st_dev && a.st_ino == b.st_ino; }

std::string first_line(int file) {
    char text[256];
    const ssize_t n = pread(file, text, sizeof text, 0);
    std::string line(text, size_t(std::max<ssize_t>(n, 0)));
    std::replace_if(
        line.begin(), line.end(), [](unsigned char c) { return c < 32 || c > 126; }, ' ');
    return line;
}

std::string about_us() {
    char host[128] = "?", since[32] = "";
    gethostname(host, sizeof host - 1);
    const time_t now = time(nullptr);
    struct tm utc;
    strftime(since, sizeof since, "%Y-%m-%d %H:%M:%S UTC", gmtime_r(&now, &utc));
    return "pid " + std::to_string(getpid()) + " on " + host + " since " + since;
}

// Tries for a fifth of a second, as is_held() may look just now.
bool take(int file) {
    for (int i = 0; i < 20; i++) {
        if (flock(file, LOCK_EX | LOCK_NB) == 0) return true;
        if (errno != EWOULDBLOCK) return false;
        usleep(10'000);
    }
    errno = EWOULDBLOCK;
    return false;
}

}  // namespace

bool RunLock::is_held(const std::string& path) {
    const int file = open((path + "/" + name).c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) return false;
    const bool held = flock(file, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    close(file);
    return held;
}

RunLock::RunLock(const std::string& path) : given(path) {
    directory = open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) throw Error(Exit::io, path, std::strerror(errno));
    try {
        lock();
    } catch (...) {
        if (file >= 0) close(file);
        close(directory);
        throw;
    }
}

void RunLock::lock() {
    for (bool ours = false; !ours;) {
        if (file >= 0) close(file);
        file = openat(directory, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
        created = file >= 0;
        if (!created) file = openat(directory, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
        if (file < 0) throw Error(Exit::io, given + "/" + name, std::strerror(errno));
        if (!take(file)) {
            created = false;
            if (errno != EWOULDBLOCK)
                throw Error(Exit::io, given, std::string("cannot be locked: ") + std::strerror(errno),
                            "choose --out on a local disk");
            const std::string holder = first_line(file);
            throw Error(Exit::locked, given, "in use by " + (holder.empty() ? "another process" : holder),
                        "choose another --out or wait");
        }
        struct stat held, there;  // its holder may have removed it just before
        ours = fstat(file, &held) == 0 && fstatat(directory, name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
               same_file(held, there);
    }
    const std::string text = about_us();
    // The text is for humans only: the lock holds even if a full disk cannot store it.
    if (ftruncate(file, 0) || pwrite(file, text.data(), text.size(), 0) < 0) return;
}

RunLock::~RunLock() {
    close(file);
    close(directory);
}

std::string RunLock::path() const {
    struct stat held, there;
    if (fstat(directory, &held) || held.st_nlink == 0) return "";
    const auto is_it = [&](const char* path) { return stat(path, &there) == 0 && same_file(held, there); };
    if (is_it(given.c_str())) return given;
    char now[4096];
    const ssize_t n = readlink(("/proc/self/fd/" + std::to_string(directory)).c_str(), now, sizeof now - 1);
    now[std::max<ssize_t>(n, 0)] = 0;
    return is_it(now) ? now : "";
}

void RunLock::leave_nothing() {
    if (created) unlinkat(directory, name, 0);
}

}  // namespace files
