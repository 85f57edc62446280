// Files whose every operation is checked. Nothing half-written is ever taken for whole: files become durable (fsync)
// under a temporary name, then appear by rename. Failures throw Error: `input` when reading, `io` when writing.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>
#include "error.h"
#include "file_reader.h"

struct XXH64_state_s;

namespace files {

// Called before every operation that changes the disk; a test makes the Nth one fail or kill the process.
extern void (*before_operation)(const char* operation, const std::string& path);

bool exists(const std::string& path);                                   // of any kind; a dangling link exists
bool is_file(const std::string& path);                                  // a regular one, and no link to one
bool is_directory(const std::string& path);                             // and no link to one
std::string without_slash(const std::string& path);                     // the same path without . .. and / at its end
std::string link_target(const std::string& path);                       // empty if it is no symbolic link
std::vector<std::string> list(const std::string& directory);            // names, sorted, without . and ..
bool is_inside(const std::string& path, const std::string& directory);  // or is it, links followed; both must exist

// Writes a new file from its beginning. Only close() makes it durable; without it the destructor leaves the file torn.
class Writer {
public:
    explicit Writer(const std::string& path);
    ~Writer();
    Writer(const Writer&) = delete;
    void write(const void* data, size_t n);
    void write_again(const void* data, size_t n);  // over the first n bytes; hash() stays that of what stood there
    void close();                                  // fsync and close, both checked
    uint64_t size() const { return size_; }
    uint64_t hash() const;  // of what was written so far
    const std::string& path() const { return path_; }

private:
    std::string path_;
    int file;
    uint64_t size_ = 0, started = 0;  // bytes written; of them on their way to the disk
    XXH64_state_s* state;
};

void write_file(const std::string& path, std::string_view text);        // a new file, durable but for its name
void replace_file(const std::string& path, std::string_view text);      // atomically: the old file or the new one
void replace_link(const std::string& path, const std::string& target);  // a symbolic link, likewise
// The same for a file that a user names: of files that are there already, only a regular one that begins as `text` does
// is replaced, the one that a link leads to. Throws Error{usage} at any other.
void replace_output(const std::string& path, std::string_view text, const char* flag = "--out");
void make_directories(const std::string& path);     // durable
bool make_new_directory(const std::string& path);   // in one that exists; false: there is something of that name
void sync_directory(const std::string& path);       // makes names in it durable
uint64_t free_space(const std::string& directory);  // bytes an ordinary user may still write
void require_space(const std::string& directory, uint64_t bytes);  // Error{io} if less is free

// Whether an entry of a directory is one that we write there.
using IsOurs = std::function<bool(const std::string& name)>;

// A directory that appears under `parent` complete and durable, or not at all, even if the power fails.
// An older directory of that name is replaced only if all that is in it is ours: the two are exchanged in a single
// operation, and the old one is deleted.
class AtomicDirectory {
public:
    AtomicDirectory(const std::string& parent, const std::string& name, IsOurs replaces = nullptr);
    ~AtomicDirectory();  // without commit(): removes everything
    AtomicDirectory(const AtomicDirectory&) = delete;
    const std::string& path() const { return temporary; }  // write the files here
    std::string commit();  // returns the final path; throws Error{io} if there is something that it does not replace

private:
    void replace(const std::string& final_path);
    std::string parent, name, temporary;
    IsOurs replaces;
    int lock;
    bool committed = false;
};

// Renamed to .trash.NAME.PID first, so that nobody sees it half-deleted.
void remove_directory(const std::string& parent, const std::string& name);
// What killed processes left: .tmp.NAME.PID and .trash.NAME.PID where NAME begins with `prefix`. A directory that its
// AtomicDirectory still holds is left alone.
void remove_leftovers(const std::string& parent, std::string_view prefix);

void shorten_file(const std::string& path, uint64_t size);  // keeps the first `size` bytes

// A file of lines, each appended by a single write. A full disk must not end a run: append() then returns false.
class Log {
public:
    static constexpr uint64_t everything = ~uint64_t(0);
    // Keeps the first `keep` bytes of what is there (a checkpoint remembers size()), and of those no torn last line.
    Log(const std::string& path, uint64_t keep);
    ~Log();
    Log(const Log&) = delete;
    bool append(std::string_view line) { return append_bytes(std::string(line) + "\n"); }
    bool append_bytes(std::string_view bytes);  // for files that are not lines
    void sync();                                // what was appended is durable then, if the disk can
    uint64_t size() const { return size_; }

private:
    int file;
    uint64_t size_ = 0;
};

}  // namespace files
