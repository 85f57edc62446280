#include "shims.h"
#include <sys/syscall.h>
#include <unistd.h>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <ctime>

namespace {

std::atomic<int64_t> allocation_count = 0, first_failing = -1, failing_count = 0;

bool fails() {
    const int64_t first = first_failing.load(std::memory_order_relaxed);
    const int64_t number = allocation_count.fetch_add(1, std::memory_order_relaxed);
    return first >= 0 && number >= first && number < first + failing_count.load(std::memory_order_relaxed);
}

std::string fatal;  // text; "": none
shims::Death death = shims::Death::before;

std::atomic<shims::Clock> clock_kind = shims::Clock::right;
std::atomic<int64_t> jump = 0, jumped = 0, frozen_at = 0;  // nanoseconds

}  // namespace

namespace shims {

void fail_allocations(int64_t number, int64_t count) {
    first_failing = -1;
    allocation_count = 0, failing_count = count;
    first_failing = number;
}
int64_t allocations() { return allocation_count; }

void die_at(const std::string& text, Death when) { fatal = text, death = when; }

void set_clock(Clock clock, double seconds) {
    jump = int64_t(seconds * 1e9), jumped = 0, frozen_at = 0;
    clock_kind = clock;
}

}  // namespace shims

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
extern "C" {

void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);

namespace {
void* none() {
    errno = ENOMEM;
    return nullptr;
}
}  // namespace

void* malloc(size_t n) { return fails() ? none() : __libc_malloc(n); }
void* calloc(size_t n, size_t size) { return fails() ? none() : __libc_calloc(n, size); }
void* realloc(void* p, size_t n) { return n && fails() ? none() : __libc_realloc(p, n); }
void* aligned_alloc(size_t alignment, size_t n) { return fails() ? none() : __libc_memalign(alignment, n); }

ssize_t write(int file, const void* data, size_t n) {
    const bool dies = !fatal.empty() && memmem(data, n, fatal.data(), fatal.size());
    if (dies && death == shims::Death::before) kill(getpid(), SIGKILL);
    const ssize_t put = syscall(SYS_write, file, data, n);
    if (dies) kill(getpid(), SIGKILL);
    return put;
}

int clock_gettime(clockid_t which, timespec* out) noexcept {
    const long error = syscall(SYS_clock_gettime, which, out);
    const shims::Clock kind = clock_kind.load(std::memory_order_relaxed);
    if (error || kind == shims::Clock::right) return int(error);
    constexpr int64_t second = 1'000'000'000;
    int64_t now = out->tv_sec * second + out->tv_nsec;
    if (kind == shims::Clock::jumps) {
        now += jumped += jump;
    } else {
        int64_t nothing = 0;
        frozen_at.compare_exchange_strong(nothing, now);
        now = frozen_at;
    }
    if (now < 0) now = 0;
    out->tv_sec = now / second, out->tv_nsec = now % second;
    return 0;
}

}  // extern "C"
#endif
