// What happens beside a block's threads on Hopper: asynchronous barriers, tensor copies, products of warpgroups.
#pragma once
#include <bitset>
#include <cstdint>
#include <deque>
#include <map>
#include <vector>
#include "include/simt/asynchronous.h"
#include "sanitizer.h"
#include "shared_memory.h"
#include "tensor_map.h"

namespace simt {

struct CudaThread;

// Stands for a barrier in ThreadSanitizer's books: what comes before an arrival comes before what follows a wait, of
// the threads' own accesses and of what the asynchronous proxy does for them.
struct Ordering {
    char generic, proxy;
};

// The same of groups of asynchronous work, by the group's number.
struct Moments {
    char of_group[8];
    char* operator[](size_t group) { return &of_group[group % 8]; }
};

using Chunks = std::bitset<shared_room / 16>;  // of dynamic shared memory, 16 bytes each

// Calls f(first chunk, chunks) for each run of them.
template <class F>
void for_each_run(const Chunks& chunks, F f) {
    for (size_t i = chunks._Find_first(); i < chunks.size(); i = chunks._Find_next(i)) {
        const size_t first = i;
        while (i + 1 < chunks.size() && chunks[i + 1]) i++;
        f(first, i + 1 - first);
    }
}

// What the asynchronous proxy has seen of dynamic shared memory.
struct ProxyView {
    std::vector<char> seen = std::vector<char>(shared_room, char(0xff));
    Chunks* watched;             // those that blocks of this kernel write generically and read asynchronously
    bool fenced = false;         // at all, in this block
    const char* base = nullptr;  // of that memory

    void forget();
    void learn(const Chunks&);
    void fence();
    size_t first_unfenced(const Chunks&);
};

struct AsyncBarrierState {
    const void* address;
    At at;            // where it was initialised,
    unsigned thread;  // by whom,
    bool fenced;      // and whether barrier_init_fence() came after
    unsigned expected, pending;
    int64_t bytes;       // announced but not there yet; negative: there but not announced yet
    unsigned phase;      // how many are over,
    unsigned seen;       // after how many somebody has waited,
    unsigned with_load;  // up to which one loads have come, and the last of them
    At last_load;
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

// How what a copy writes joins what is there.
enum class Sum : uint8_t { none, f32, f16, bf16, u32, s32, u64, minimum_u32, maximum_u32, minimum_s32, maximum_s32 };

struct TensorStore {
    Box box;
    const char* from;
    Chunks chunks;
    At at;
    bool read, over;         // it may be read before anybody waits for that
    std::vector<char> data;  // when read
    Sum sum = Sum::none;
};
struct TensorStores {  // of a thread
    std::vector<TensorStore> stores;
    std::vector<size_t> groups;  // where each ends that is committed but not waited for
    size_t committed;            // groups, ever
    Moments order[2];            // by turn
};

// ---- Products. Lanes and warps may call them at different times; a group completes for all 4 warps together. ----

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
    Accumulator* d;
    uint32_t a[32][4];
    Chunks chunks;
    bool done, over;  // multiplied; waited for by some warp of the group
};
struct WarpProducts {
    std::deque<Product> pending;  // issued by some lane, not yet waited for
    size_t first;                 // the number of pending.front()
    size_t issued[32];            // by each lane
    unsigned fences[32], fences_at_wait[32];
    std::deque<size_t> groups;  // where each ends that is committed but not waited for
    size_t groups_over;
    unsigned meetings, met[32];  // of the warp at a fence, a commit, a wait; and by lane
    std::deque<Accumulator> accumulators;

    size_t committed() const { return groups_over + groups.size(); }
    void renew();
};
struct Warpgroup {
    struct Record {
        Factors factors;
        At at;
    };
    std::vector<Record> products;  // as the first warp to come called them
    std::vector<size_t> groups;    // where each ends, as the first warp committed it
    std::vector<CudaThread*> waiting;
    int registers;     // 0: as launched
    Moments order[2];  // by turn

    void renew();
};

struct Asynchronous {
    bool used;  // by this block: else there is nothing to renew
    ProxyView proxy_view;
    std::map<std::pair<const void*, size_t>, Chunks> watched;  // by kernel and bytes of dynamic shared memory
    std::deque<AsyncBarrierState> barriers;                    // the first barrier_count are in use
    size_t barrier_count;
    std::vector<TensorLoad> loads;         // under way
    std::vector<TensorStores> stores;      // by thread
    std::vector<TensorStore> last_stores;  // of threads that have exited
    std::vector<WarpProducts> warps;
    std::vector<Warpgroup> warpgroups;
};

}  // namespace simt
