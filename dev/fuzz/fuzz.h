// What fuzz targets share. A target is one file with one function fuzz(): it gives the input to a parser. The parser
// may refuse it with an Error of a user's making; anything else (a sanitizer's finding, another exception, our own
// REQUIRE) is a bug. `make fuzz` runs them all.
#pragma once
#include <sanitizer/allocator_interface.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <ctime>
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

// What an input may cost: 64 MiB and twice its size of memory, a second of this processor for each MiB that it begins.
namespace cost {

inline std::atomic<int64_t> now = 0, most = 0;  // bytes

inline void taken(const volatile void*, size_t bytes) {
    const int64_t all = now += int64_t(bytes);
    if (all > most) most = all;
}
inline void given_back(const volatile void* p) {
    if (p) now -= int64_t(__sanitizer_get_allocated_size(const_cast<const void*>(p)));
}
inline double processor_seconds() {
    timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
}

}  // namespace cost

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static const int hooks = __sanitizer_install_malloc_and_free_hooks(cost::taken, cost::given_back);
    expect(hooks > 0, "allocations are counted");
    const int64_t before = cost::now;
    const double start = cost::processor_seconds();
    cost::most = before;
    fuzz({reinterpret_cast<const char*>(data), size});
    const double took = cost::processor_seconds() - start;
    const int64_t bytes = cost::most - before;
    constexpr int64_t MiB = 1 << 20;
    if (bytes > 64 * MiB + 2 * int64_t(size)) {
        std::fprintf(stderr, "%zu bytes of input take %lld bytes of memory\n", size, static_cast<long long>(bytes));
        std::abort();
    }
    if (took > double(size / MiB + 1)) {
        std::fprintf(stderr, "%zu bytes of input take %.2f s\n", size, took);
        std::abort();
    }
    return 0;
}
