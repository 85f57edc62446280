// What fuzz targets share. A target is one file with one function fuzz(): it gives the input to a parser. The parser
// may refuse it with an Error of a user's making; anything else (a sanitizer's finding, another exception, our own
// REQUIRE) is a bug. `make fuzz` runs them all.
#pragma once
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>

#include "host/base/error.h"

void fuzz(std::string_view input);  // the target's

// A file in memory that holds the input.
inline std::string file_of(std::string_view input) {
    static const int file = memfd_create("input", 0);
    static const std::string path = "/proc/self/fd/" + std::to_string(file);
    if (ftruncate(file, 0) || pwrite(file, input.data(), input.size(), 0) != ssize_t(input.size())) std::abort();
    return path;
}

// A directory for parsers that want one, removed at the end.
struct FuzzDirectory {
    std::string path;
    FuzzDirectory() {
        char name[] = "/dev/shm/gpt_fuzz_XXXXXX", other[] = "/tmp/gpt_fuzz_XXXXXX";
        const char* made = mkdtemp(name);
        if (!made) made = mkdtemp(other);
        if (!made) std::abort();
        path = made;
    }
    ~FuzzDirectory() { std::filesystem::remove_all(path); }
    void write(const std::string& name, std::string_view text) const {
        std::FILE* file = std::fopen((path + "/" + name).c_str(), "wb");
        if (!file || std::fwrite(text.data(), 1, text.size(), file) != text.size() || std::fclose(file)) std::abort();
    }
};

// Whether the parser took it.
template <class F>
bool accepts(F parse) {
    try {
        parse();
        return true;
    } catch (const Error& error) {
        if (error.code != Exit::internal) return false;
        std::fprintf(stderr, "%s\n", error.what());
    } catch (const std::exception& error) { std::fprintf(stderr, "not an Error: %s\n", error.what()); }
    std::abort();
}

inline void expect(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "does not hold: %s\n", what);
    std::abort();
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    fuzz({reinterpret_cast<const char*>(data), size});
    return 0;
}
