// What the headers declare (include/simt/simt.h), on the block that the calling OS thread runs.
#include <algorithm>
#include <cstdarg>
#include "block.h"

namespace simt {
namespace {
CudaThread& self() { return *static_cast<CudaThread*>(running); }
}  // namespace

void fail(int error, const char* format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    Block::mine().fail(error, text);
}

// ---- cp.async ----

void copy_later(const PendingCopy& copy) { self().copies.push_back(copy); }

void commit_copies() { self().groups.push_back(self().copies.size()); }

bool next_due_copy(unsigned groups, PendingCopy& copy) {
    CudaThread& t = self();
    const size_t due = t.groups.size() > groups ? t.groups.size() - groups : 0;
    if (due && t.copied < t.groups[due - 1]) {
        copy = t.copies[t.copied++];
        return true;
    }
    t.groups.erase(t.groups.begin(), t.groups.begin() + ptrdiff_t(due));
    if (t.groups.empty() && t.copied == t.copies.size()) t.copies.clear(), t.copied = 0;
    return false;
}

unsigned elected_lane(unsigned lanes) {
    const unsigned turn = unsigned(Permutation::mix(self().linear / 32 + order().seed)) % 32;
    const unsigned from_turn = lanes >> turn << turn;
    return unsigned(__builtin_ctz(from_turn ? from_turn : lanes));
}

// ---- Fences and atomics: ordered in ThreadSanitizer's books as far as fences stand around them ----

void fence() {
    if (!thread_sanitizer) return;
    self().fenced = true;
    if (self().last_atomic) __tsan_acquire(const_cast<void*>(self().last_atomic));
}

void before_atomic(const void* address) {
    if (thread_sanitizer && running && self().fenced) __tsan_release(const_cast<void*>(address));
}

void after_atomic(const void* address) {
    if (thread_sanitizer && running) self().last_atomic = address;
}

}  // namespace simt
