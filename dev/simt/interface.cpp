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

const Gathered& gather(const char* name, unsigned mask, const uint64_t* words, int count, At at, Form form, Orders orders) {
    return Block::mine().gather(name, mask, words, count, at, form, orders);
}

Votes barrier_sync(const char* name, int id, int threads, bool predicate, Reach reach, At at) {
    return Block::mine().barrier_sync(name, id, threads, predicate, reach, at);
}

void barrier_arrive(int id, int threads, At at) { Block::mine().barrier_arrive(id, threads, at); }

// ---- cp.async ----

void copy_later(const PendingCopy& copy) { self().copies.push_back(copy); }

void commit_copies() { self().groups.push_back(self().copies.size()); }

bool next_due_copy(int groups, PendingCopy& copy) {
    CudaThread& t = self();
    if (groups < 0) t.groups.assign(1, t.copies.size()), groups = 0;
    while (t.groups.size() > size_t(groups) && t.groups.front() == 0) t.groups.erase(t.groups.begin());
    if (t.groups.size() <= size_t(groups)) return false;
    copy = t.copies.front();
    t.copies.erase(t.copies.begin());
    for (size_t& end : t.groups) end--;
    return true;
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
