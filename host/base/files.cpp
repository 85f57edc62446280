#include "files.h"
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <xxhash.h>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>

namespace fs = std::filesystem;

namespace files {

void (*before_operation)(const char*, const std::string&) = nullptr;

namespace {

void operation(const char* name, const std::string& path) {
    if (before_operation) before_operation(name, path);
}

[[noreturn]] void fail_to(const std::string& verb, const std::string& path, int error) {
    const bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;
    throw Error(Exit::io, path, "cannot " + verb + ": " + std::strerror(error),
                full ? "free some space or choose another --out" : "");
}

std::string temporary_name(const char* kind, const std::string& name) {
    return std::string(".") + kind + "." + name + "." + std::to_string(getpid());
}

std::string parent_of(const std::string& path) {
    const std::string parent = fs::path(path).parent_path().string();
    return parent.empty() ? "." : parent;
}

// Best effort, for what no longer matters: never throws.
void discard(const std::string& path) {
    std::error_code ignored;
    fs::remove_all(path, ignored);
}

void rename_to(const std::string& from, const std::string& to) {
    operation("rename", to);
    if (::rename(from.c_str(), to.c_str())) fail_to("rename " + from + " to this", to, errno);
}

}  // namespace

Reader::Reader(const std::string& path) : path_(path) {
    file =
        open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);  // O_NONBLOCK: opening a pipe must not wait for a writer
    if (file < 0) throw Error(Exit::input, path, std::strerror(errno));
    struct stat status;
    const bool known = fstat(file, &status) == 0;
    if (known && S_ISREG(status.st_mode)) {
        stamp_ = {uint64_t(status.st_dev), uint64_t(status.st_ino), uint64_t(status.st_size),
                  int64_t(status.st_mtim.tv_sec) * 1'000'000'000 + status.st_mtim.tv_nsec};
        return;
    }
    const std::string reason = !known                    ? std::strerror(errno)
                               : S_ISDIR(status.st_mode) ? "is a directory"
                                                         : "is not a regular file";
    close(file);
    throw Error(Exit::input, path, reason);
}

Reader::~Reader() { close(file); }

void Reader::read(void* out, size_t n, uint64_t offset) const {
    char* at = static_cast<char*>(out);
    if (offset > size() || n > size() - offset)
        throw Error(Exit::input, path_, "ends before byte " + std::to_string(offset + n));
    while (n) {
        const ssize_t got = pread(file, at, std::min<size_t>(n, 1 << 30), off_t(offset));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0)
            throw Error(Exit::input, path_,
                        "cannot read at byte " + std::to_string(offset) + ": " + std::strerror(errno));
        if (got == 0) throw Error(Exit::input, path_, "became shorter while being read");
        at += got, offset += uint64_t(got), n -= size_t(got);
    }
}

std::string read_file(const std::string& path, uint64_t limit) {
    const Reader reader(path);
    if (reader.size() > limit)
        throw Error(Exit::input, path,
                    "is too long (" + std::to_string(reader.size()) + " bytes, at most " + std::to_string(limit) + ")");
    std::string text(reader.size(), '\0');
    reader.read(text.data(), text.size(), 0);
    return text;
}

uint64_t hash(std::string_view text) { return XXH64(text.data(), text.size(), 0); }

uint64_t hash_file(const std::string& path) {
    const Reader reader(path);
    std::vector<char> chunk(std::min<uint64_t>(reader.size(), 4 << 20));
    XXH64_state_t* state = XXH64_createState();
    XXH64_reset(state, 0);
    for (uint64_t at = 0; at < reader.size(); at += chunk.size()) {
        const size_t n = std::min<uint64_t>(chunk.size(), reader.size() - at);
        reader.read(chunk.data(), n, at);
        XXH64_update(state, chunk.data(), n);
    }
    const uint64_t hash = XXH64_digest(state);
    XXH64_freeState(state);
    return hash;
}

std::string hex(uint64_t hash) {
    char text[17];
    std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(hash));
    return text;
}

bool exists(const std::string& path) {
    struct stat status;
    return lstat(path.c_str(), &status) == 0;
}

std::string link_target(const std::string& path) {
    std::error_code error;
    const fs::path target = fs::read_symlink(path, error);
    return error ? "" : target.string();
}

std::vector<std::string> list(const std::string& directory) {
    std::error_code error;
    std::vector<std::string> names;
    for (fs::directory_iterator i(directory, error), end; !error && i != end; i.increment(error))
        names.push_back(i->path().filename().string());
    if (error) throw Error(Exit::input, directory, error.message());
    std::sort(names.begin(), names.end());
    return names;
}

Writer::Writer(const std::string& path) : path_(path) {
    operation("open", path);
    file = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file < 0) fail_to("create", path, errno);
    state = XXH64_createState();
    XXH64_reset(state, 0);
}

Writer::~Writer() {
    if (file >= 0) ::close(file);
    XXH64_freeState(state);
}

void Writer::write(const void* data, size_t n) {
    operation("write", path_);
    XXH64_update(state, data, n);
    const char* at = static_cast<const char*>(data);
    while (n) {
        const ssize_t put = ::write(file, at, std::min<size_t>(n, 1 << 30));
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) fail_to("write", path_, put < 0 ? errno : ENOSPC);
        at += put, size_ += uint64_t(put), n -= size_t(put);
    }
    constexpr uint64_t piece = 16 << 20;
    if (size_ - started < piece) return;
    sync_file_range(file, off64_t(started), off64_t(size_ - started), SYNC_FILE_RANGE_WRITE);  // fsync says what failed
    started = size_;
}

void Writer::write_again(const void* data, size_t n) {
    operation("write", path_);
    const ssize_t put = ::pwrite(file, data, n, 0);
    if (put < 0 || size_t(put) != n) fail_to("write", path_, put < 0 ? errno : ENOSPC);
}

void Writer::close() {
    operation("fsync", path_);
    if (fsync(file)) fail_to("write to the disk", path_, errno);
    operation("close", path_);
    const int closing = file;
    file = -1;
    if (::close(closing)) fail_to("close", path_, errno);
}

uint64_t Writer::hash() const { return XXH64_digest(state); }

void write_file(const std::string& path, std::string_view text) {
    Writer writer(path);
    writer.write(text.data(), text.size());
    writer.close();
}

void replace_file(const std::string& path, std::string_view text) {
    const std::string parent = parent_of(path),
                      temporary = parent + "/" + temporary_name("tmp", fs::path(path).filename().string());
    discard(temporary);
    try {
        write_file(temporary, text);
        rename_to(temporary, path);
    } catch (...) {
        discard(temporary);
        throw;
    }
    sync_directory(parent);
}

void replace_link(const std::string& path, const std::string& target) {
    const std::string parent = parent_of(path),
                      temporary = parent + "/" + temporary_name("tmp", fs::path(path).filename().string());
    discard(temporary);
    operation("symlink", path);
    if (symlink(target.c_str(), temporary.c_str())) fail_to("link to " + target, path, errno);
    try {
        rename_to(temporary, path);
    } catch (...) {
        discard(temporary);
        throw;
    }
    sync_directory(parent);
}

void make_directories(const std::string& path) {
    operation("mkdir", path);
    std::error_code error;
    const bool created = fs::create_directories(path, error);
    if (error) throw Error(Exit::io, path, "cannot create the directory: " + error.message());
    if (created) sync_directory(parent_of(path));
}

void sync_directory(const std::string& path) {
    operation("fsync", path);
    const int file = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file < 0) fail_to("open", path, errno);
    const int error = fsync(file) ? errno : 0;
    ::close(file);
    if (error && error != EINVAL) fail_to("write to the disk", path, error);  // EINVAL: a file system without the need
}

uint64_t free_space(const std::string& directory) {
    struct statvfs status;
    if (statvfs(directory.c_str(), &status)) throw Error(Exit::io, directory, std::strerror(errno));
    return uint64_t(status.f_bavail) * status.f_frsize;
}

void require_space(const std::string& directory, uint64_t bytes) {
    const uint64_t left = free_space(directory);
    if (left < bytes)
        throw Error(
            Exit::io, directory,
            "needs " + std::to_string(bytes >> 20) + " MiB of disk, " + std::to_string(left >> 20) + " MiB are free",
            "free some space or choose another --out");
}

AtomicDirectory::AtomicDirectory(const std::string& parent, const std::string& name)
    : parent(parent), name(name), temporary(parent + "/" + temporary_name("tmp", name)) {
    discard(temporary);
    operation("mkdir", temporary);
    if (mkdir(temporary.c_str(), 0777)) fail_to("create the directory", temporary, errno);
}

AtomicDirectory::~AtomicDirectory() {
    if (!committed) discard(temporary);
}

std::string AtomicDirectory::commit() {
    const std::string final_path = parent + "/" + name;
    sync_directory(temporary);
    if (exists(final_path)) {
        operation("exchange", final_path);
        if (renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, final_path.c_str(), RENAME_EXCHANGE)) {
            if (errno != EINVAL && errno != ENOSYS) fail_to("replace", final_path, errno);
            const std::string old = parent + "/" + temporary_name("trash", name);  // a file system that cannot exchange
            rename_to(final_path, old);
            rename_to(temporary, final_path);
            discard(old);
        }
    } else {
        rename_to(temporary, final_path);
    }
    committed = true;
    sync_directory(parent);
    discard(temporary);  // the old directory, if they were exchanged
    return final_path;
}

void remove_directory(const std::string& parent, const std::string& name) {
    const std::string trash = parent + "/" + temporary_name("trash", name);
    discard(trash);
    rename_to(parent + "/" + name, trash);
    operation("remove", trash);
    discard(trash);
}

void remove_leftovers(const std::string& parent, std::string_view prefix) {
    for (const std::string& entry : list(parent)) {
        const size_t head = entry.starts_with(".tmp.")     ? 5
                            : entry.starts_with(".trash.") ? 7
                                                           : 0,
                     tail = entry.rfind('.');
        const bool numbered = tail > head && entry.find_first_not_of("0123456789", tail + 1) == std::string::npos;
        if (!head || !numbered || !std::string_view(entry).substr(head).starts_with(prefix)) continue;
        operation("remove", entry);
        discard(parent + "/" + entry);
    }
}

RunLock::RunLock(const std::string& directory) {
    const std::string path = directory + "/" + name;
    file = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (file < 0) throw Error(Exit::io, path, std::strerror(errno));
    char text[256] = "";
    if (flock(file, LOCK_EX | LOCK_NB)) {
        const int error = errno;
        const ssize_t n = pread(file, text, sizeof text - 1, 0);
        close(file);
        if (error != EWOULDBLOCK)
            throw Error(Exit::io, directory, std::string("cannot be locked: ") + std::strerror(error),
                        "choose --out on a local disk");
        std::string holder(text, size_t(std::max<ssize_t>(n, 0)));
        std::replace_if(
            holder.begin(), holder.end(), [](unsigned char c) { return c < 32 || c > 126; }, ' ');
        throw Error(Exit::locked, directory, "in use by " + (holder.empty() ? "another process" : holder),
                    "choose another --out or wait");
    }
    char host[128] = "?", since[32] = "";
    gethostname(host, sizeof host - 1);
    const time_t now = time(nullptr);
    struct tm utc;
    strftime(since, sizeof since, "%Y-%m-%d %H:%M:%S UTC", gmtime_r(&now, &utc));
    const int n = std::snprintf(text, sizeof text, "pid %d on %s since %s", int(getpid()), host, since);
    // The text is for humans only: the lock holds even if a full disk cannot store it.
    if (ftruncate(file, 0) || pwrite(file, text, size_t(n), 0) != n) return;
}

RunLock::~RunLock() { close(file); }

void shorten_file(const std::string& path, uint64_t size) {
    operation("shorten", path);
    if (truncate(path.c_str(), off_t(size))) fail_to("shorten", path, errno);
}

Log::Log(const std::string& path, uint64_t keep) {
    file = open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0666);
    if (file < 0) throw Error(Exit::io, path, std::strerror(errno));
    struct stat status;
    if (fstat(file, &status) || !S_ISREG(status.st_mode)) return;
    size_ = std::min<uint64_t>(keep, uint64_t(status.st_size));
    for (char last; size_ && pread(file, &last, 1, off_t(size_ - 1)) == 1 && last != '\n';) size_--;
    if (size_ == uint64_t(status.st_size) || ftruncate(file, off_t(size_)) == 0) return;
    const int error = errno;
    close(file);
    fail_to("shorten", path, error);
}

Log::~Log() { close(file); }

bool Log::append_bytes(std::string_view text) {
    ssize_t put;
    do put = ::write(file, text.data(), text.size());
    while (put < 0 && errno == EINTR);
    if (put == ssize_t(text.size())) {
        size_ += text.size();
        return true;
    }
    if (put > 0 && ftruncate(file, off_t(size_))) size_ += size_t(put);  // half a line stays only if it cannot go
    return false;
}

}  // namespace files
