// What the headers of this folder need from the scheduler (../block.cpp). Kernels never name anything in here.
//
// A block runs on one OS thread; each of its CUDA threads is a fiber that runs until it must wait. The scheduler's own
// files are never built with a sanitizer: what stands in these headers is seen by
// ThreadSanitizer as the CUDA thread's own accesses.
#pragma once
#include <cstdint>
#include "vector_types.h"

namespace simt {

// A place in the source. As a default argument, At::here() is the place of the call.
struct At {
    const char* file;
    int line;
    static constexpr At here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) { return {file, line}; }
};

struct Thread {
    uint3 index;            // threadIdx
    unsigned linear, lane;  // its number in the block, x fastest, and in its warp
};
extern constinit thread_local Thread* running;  // the CUDA thread that this OS thread is executing

// Ends the kernel with a message that names kernel, block and thread; the launch fails with `error` (a cudaError_t).
[[noreturn]] void fail(int error, const char* format, ...) __attribute__((format(printf, 2, 3)));

// ---- A warp's threads meet ----

constexpr int gathered_words = 4;
struct Gathered {          // what the lanes of a mask brought along
    unsigned mask, lanes;  // lanes: those of the mask that have not exited
    uint64_t value[32][gathered_words];
};
enum class Form { anywhere, aligned };  // aligned: the lanes must execute the very same instruction
enum class Orders { nothing, memory };  // whether what was written before is visible after

// Waits until every living lane of the mask has called with the same name and mask, then gives all their values.
// The reference is good until the calling thread waits again. `name` is the primitive's, for messages.
const Gathered& gather(const char* name, unsigned mask, const uint64_t* words, int count, At at, Form = Form::anywhere,
                       Orders = Orders::nothing);

// ---- A block's threads meet ----

constexpr int barriers_per_block = 16, all_threads = 0;
struct Votes {
    unsigned arrived, nonzero;
};  // of the predicates that the threads brought

// PTX bar.sync: waits until `threads` threads (all_threads: every living one) have arrived at barrier `id`.
// __syncthreads is one that all threads must reach at the same line.
enum class Reach { anywhere, same_line };
Votes barrier_sync(const char* name, int id, int threads, bool predicate, Reach reach, At at);
void barrier_arrive(int id, int threads, At at);  // PTX bar.arrive: counts, but does not wait

// ---- cp.async: copies that happen as late as the rules allow ----

struct PendingCopy {
    void* to;
    const void* from;
    int bytes, valid;  // the bytes after the first `valid` become zero
};
void copy_later(const PendingCopy&);
void commit_copies();
// The next copy that must be finished before at most `groups` groups are pending; false: none is left.
bool next_due_copy(unsigned groups, PendingCopy& copy);

// ---- Fences and atomics, for ThreadSanitizer ----

void fence();  // __threadfence
void before_atomic(const void* address);
void after_atomic(const void* address);

// ---- Odds and ends ----

bool is_shared(const void*, unsigned bytes);  // wholly in shared memory of the running block
unsigned elected_lane(unsigned lanes);        // any of them, and not always the same

}  // namespace simt
