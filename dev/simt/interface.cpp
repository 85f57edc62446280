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
    Block& block = Block::mine();
    const Block::Backstage backstage(block);
    block.fail(error, text);
}

// ---- cp.async ----

void copy_later(const PendingCopy& copy) {
    const Block::Backstage backstage(Block::mine());
    self().copies.push_back(copy);
}

void commit_copies() {
    const Block::Backstage backstage(Block::mine());
    self().groups.push_back(self().copies.size());
}

bool next_due_copy(unsigned groups, PendingCopy& copy) {
    const Block::Backstage backstage(Block::mine());
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

// ---- Fences and atomics ----
// In ThreadSanitizer's books an atomic orders what its thread did before its last fence, and, as the CUDA Programming
// Guide has it ("the last block sums up"), what comes after an atomic that a fence precedes or follows.

void fence() {
    if (!thread_sanitizer) return;
    self().fenced = true;
    if (self().last_atomic) __tsan_acquire(const_cast<void*>(self().last_atomic));
}

void before_atomic(const void* address) {
    if (thread_sanitizer && running && self().fenced) __tsan_release(const_cast<void*>(address));
}

void after_atomic(const void* address) {
    if (!thread_sanitizer || !running) return;
    self().last_atomic = address;
    if (self().fenced) __tsan_acquire(const_cast<void*>(address));
}

}  // namespace simt
