// What happens beside a block's threads on Hopper: asynchronous barriers, tensor copies, products of warpgroups.
#pragma once
#include <bitset>
#include <cstdint>
#include <deque>
#include <vector>
#include "include/simt/asynchronous.h"
#include "sanitizer.h"
#include "shared_memory.h"
#include "tensor_map.h"

namespace simt {

struct CudaThread;

// Stands for a barrier in ThreadSanitizer's books: what comes before an arrival comes before what follows a wait, of the threads'
// own accesses and of what the asynchronous proxy does for them.
struct Ordering {
    char generic, proxy;
};

using Chunks = std::bitset<shared_limit / 16>;  // of dynamic shared memory, 16 bytes each

struct AsyncBarrierState {
    const void* address;
    At at;            // where it was initialised,
    unsigned thread;  // by whom,
    bool fenced;      // and whether barrier_init_fence() came after
    unsigned expected, pending;
    int64_t bytes;   // announced but not there yet; negative: there but not announced yet
    unsigned phase;  // how many are over
    std::vector<CudaThread*> waiting;
    Ordering order[2][2];  // [turn of the block][parity of the phase]
};

struct TensorLoad {
    Box box;
    char* to;
    AsyncBarrierState* barrier;
    Chunks chunks;
    At at;
};

struct TensorStore {
    Box box;
    const char* from;
    Chunks chunks;
    At at;
    bool read;
    std::vector<char> data;  // when read
};
struct TensorStores {  // of a thread
    std::vector<TensorStore> stores;
    std::vector<size_t> groups;  // where each ends that is committed but not waited for
    char order[2][8];            // [turn][number of the group]
    unsigned committed;          // groups, ever
};

// ---- Products. Each warp multiplies its 16 rows; its lanes may run at different times, but do the same. ----

struct Accumulator {
    int registers;
    float* d[32];               // of each lane
    unsigned known;             // lanes of which it has been the accumulator
    unsigned held;              // those whose values are in here, and NaN in d
    unsigned delivered_at[32];  // by that lane's count of fences
    unsigned products;          // not yet done
    At at;                      // of the last one
    float values[16][256];
};
struct Product {
    Factors factors;
    At at;
    unsigned lanes;  // that have called it
    Accumulator* d;
    uint32_t a[32][4];
    Chunks chunks;
    bool done;
};
struct WarpProducts {
    std::deque<Product> pending;  // issued by some lane, not yet waited for
    size_t first;                 // the number of pending.front()
    size_t issued[32];            // by each lane
    unsigned fences[32], fences_at_wait[32];
    std::deque<size_t> groups;  // where each ends that is committed but not waited for
    unsigned groups_over;
    unsigned meetings, met[32];  // of the warp at a fence, a commit, a wait; and by lane
    std::deque<Accumulator> accumulators;
    char order[2][8];  // [turn][number of the group]

    void renew();
};
struct WarpgroupRecord {  // of a product, as its first warp called it
    Factors factors;
    At at;
};

struct Asynchronous {
    bool used;  // by this block: else there is nothing to renew
    std::deque<AsyncBarrierState> barriers;  // the first barrier_count are in use
    size_t barrier_count;
    std::vector<TensorLoad> loads;         // under way
    std::vector<TensorStores> stores;      // by thread
    std::vector<TensorStore> last_stores;  // of threads that have exited
    std::vector<WarpProducts> warps;
    std::vector<std::vector<WarpgroupRecord>> warpgroups;
    std::vector<int> registers;  // of each warpgroup, 0: not set
};

}  // namespace simt
