// Reading files: whole, at any offset, or only for their checksum. Failures throw Error{input} naming the file.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace files {

// Which file a path named, and in which state: another one, or one that was written to, has another stamp.
struct Stamp {
    uint64_t device = 0, inode = 0, size = 0;
    int64_t written = 0;  // nanoseconds
    bool operator==(const Stamp&) const = default;
};

// A regular file open for reading at any offset; several threads may read.
class Reader {
public:
    explicit Reader(const std::string& path);
    ~Reader();
    Reader(const Reader&) = delete;
    void read(void* out, size_t n, uint64_t offset) const;  // all n bytes or Error
    uint64_t size() const { return stamp_.size; }
    const Stamp& stamp() const { return stamp_; }
    const std::string& path() const { return path_; }

private:
    std::string path_;
    int file;
    Stamp stamp_;
};

std::string read_file(const std::string& path, uint64_t limit);  // Error if longer than `limit` bytes
uint64_t hash(std::string_view text);                            // XXH64, seed 0
uint64_t hash_file(const std::string& path);
std::string hex(uint64_t hash);  // 16 digits

}  // namespace files
