#include "file_reader.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <vector>
#include "error.h"

namespace files {

Reader::Reader(const std::string& path) : path_(path) {
    // O_NONBLOCK: opening a pipe must not wait for a writer
    file = open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
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

}  // namespace files
