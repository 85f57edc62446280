#include "files.h"
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <xxhash.h>
#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include "messages.h"

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

std::string inside(const std::string& directory, const std::string& name) { return directory + "/" + name; }

// Best effort, for what no longer matters: never throws.
void discard(const std::string& path) {
    std::error_code ignored;
    fs::remove_all(path, ignored);
}

// A directory's descriptor, as the sign that somebody works in it; -1 and errno if it cannot be had.
int open_and_lock(const std::string& directory) {
    const int file = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (file < 0 || flock(file, LOCK_EX | LOCK_NB) == 0) return file;
    const int error = errno;
    close(file);
    errno = error;
    return -1;
}

void rename_to(const std::string& from, const std::string& to) {
    operation("rename", to);
    if (::rename(from.c_str(), to.c_str())) fail_to("rename " + from + " to this", to, errno);
}

}  // namespace

bool exists(const std::string& path) {
    struct stat status;
    return lstat(path.c_str(), &status) == 0;
}

namespace {
bool has_type(const std::string& path, mode_t type) {
    struct stat status;
    return lstat(path.c_str(), &status) == 0 && (status.st_mode & S_IFMT) == type;
}
}  // namespace

bool is_file(const std::string& path) { return has_type(path, S_IFREG); }
bool is_directory(const std::string& path) { return has_type(path, S_IFDIR); }

std::string without_slash(const std::string& path) {
    return (fs::path(path) / "").lexically_normal().parent_path().string();
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

bool is_inside(const std::string& path, const std::string& directory) {
    std::error_code no_path, no_directory;
    const fs::path inner = fs::canonical(path, no_path), outer = fs::canonical(directory, no_directory);
    if (no_path || no_directory) return false;
    return std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end()).first == outer.end();
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
                      temporary = inside(parent, temporary_name("tmp", fs::path(path).filename().string()));
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

void replace_output(const std::string& path, std::string_view text, const char* flag) {
    const auto refuse = [&](const std::string& reason) {
        throw Error(Exit::usage, std::string(flag) + " " + printable(path), reason + ": it is not replaced",
                    std::string("choose another ") + flag);
    };
    struct stat status;
    if (lstat(path.c_str(), &status)) return replace_file(path, text);
    char real[PATH_MAX];
    if (!realpath(path.c_str(), real) || stat(real, &status)) refuse("is a link that leads nowhere");
    if (!S_ISREG(status.st_mode)) refuse(S_ISDIR(status.st_mode) ? "is a directory" : "is not a regular file");
    char begin[12];
    const Reader old(real);
    const size_t n = std::min<uint64_t>({sizeof begin, old.size(), text.size()});
    old.read(begin, n, 0);
    if (std::string_view(begin, n) != text.substr(0, n)) refuse("holds something else");
    replace_file(real, text);
}

void replace_link(const std::string& path, const std::string& target) {
    const std::string parent = parent_of(path),
                      temporary = inside(parent, temporary_name("tmp", fs::path(path).filename().string()));
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
    std::vector<std::string> parents;  // of what is to be made: the innermost first
    for (fs::path at = without_slash(path); !at.empty() && !fs::exists(at, error) && !error; at = at.parent_path())
        parents.push_back(parent_of(at.string()));
    error.clear();
    fs::create_directories(path, error);
    if (error) throw Error(Exit::io, path, "cannot create the directory: " + error.message());
    for (const std::string& parent : parents) sync_directory(parent);
}

bool make_new_directory(const std::string& path) {
    operation("mkdir", path);
    if (mkdir(path.c_str(), 0777)) {
        if (errno != EEXIST) fail_to("create the directory", path, errno);
        return false;
    }
    sync_directory(parent_of(path));
    return true;
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

AtomicDirectory::AtomicDirectory(const std::string& parent, const std::string& name, IsOurs replaces)
    : parent(parent),
      name(name),
      temporary(inside(parent, temporary_name("tmp", name))),
      replaces(std::move(replaces)) {
    discard(temporary);
    operation("mkdir", temporary);
    if (mkdir(temporary.c_str(), 0777)) fail_to("create the directory", temporary, errno);
    lock = open_and_lock(temporary);
}

AtomicDirectory::~AtomicDirectory() {
    if (!committed) discard(temporary);
    if (lock >= 0) close(lock);
}

// Puts `temporary` in the place of the directory at `final_path`, in a single operation where the file system can.
void AtomicDirectory::replace(const std::string& final_path) {
    if (!replaces) throw Error(Exit::io, final_path, "appeared meanwhile: it is not replaced");
    for (const std::string& entry : list(final_path))
        if (!replaces(entry))
            throw Error(Exit::io, inside(final_path, entry), "was not written by this program",
                        "move it, or choose another --out");
    operation("exchange", final_path);
    if (renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, final_path.c_str(), RENAME_EXCHANGE) == 0) return;
    if (errno != EINVAL && errno != ENOSYS) fail_to("replace", final_path, errno);
    const std::string old = inside(parent, temporary_name("trash", name));  // a file system that cannot exchange
    rename_to(final_path, old);
    rename_to(temporary, final_path);
    discard(old);
}

std::string AtomicDirectory::commit() {
    std::string final_path = inside(parent, name);
    sync_directory(temporary);
    if (exists(final_path)) {
        replace(final_path);
    } else {
        operation("rename", final_path);
        if (renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, final_path.c_str(), RENAME_NOREPLACE)) {
            if (errno != EINVAL && errno != ENOSYS) fail_to("rename " + temporary + " to this", final_path, errno);
            if (::rename(temporary.c_str(), final_path.c_str()))  // replaces nothing but an empty directory
                fail_to("rename " + temporary + " to this", final_path, errno);
        }
    }
    committed = true;
    sync_directory(parent);
    discard(temporary);  // the old directory, if they were exchanged
    return final_path;
}

void remove_directory(const std::string& parent, const std::string& name) {
    const std::string trash = inside(parent, temporary_name("trash", name));
    discard(trash);
    rename_to(inside(parent, name), trash);
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
        const std::string path = inside(parent, entry);
        const int lock = open_and_lock(path);
        if (lock < 0 && errno == EWOULDBLOCK) continue;
        operation("remove", entry);
        discard(path);
        if (lock >= 0) close(lock);
    }
}

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

void Log::sync() {
    if (fsync(file)) return;  // its lines are worth less than the run
}

bool Log::append_bytes(std::string_view text) {
    size_t done = 0;
    while (done < text.size()) {
        const ssize_t put = ::write(file, text.data() + done, text.size() - done);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) break;
        done += size_t(put);
    }
    size_ += done;
    if (done == text.size()) return true;
    if (done > 0 && ftruncate(file, off_t(size_ - done)) == 0) size_ -= done;  // half a line stays only if it cannot go
    return false;
}

}  // namespace files
