// Sorts n keys in [0, range): order[i] is the place of the i-th smallest, equal keys in the order of their places.
//
// Radix sort from the lowest digit of 8 bits up. A warp owns a tile of 1024 keys: pass by pass it counts its digits,
// one block turns all counts into where each tile's keys of each digit go, and the warp sends its keys there.
// Stable, and without atomics: a key's rank among the warp's 32 comes from votes.
#pragma once
#include "common.cuh"

constexpr int sort_tile = 1024, sort_bits = 8, sort_scan_block = 1024;

// The lanes of the warp that hold the same digit; only `active` lanes hold one, the others get none. All lanes must
// call.
template <int bits>
__device__ unsigned sort_peers(int digit, bool active) {
    unsigned peers = __ballot_sync(~0u, active);
    for (int bit = 0; bit < bits; bit++) {
        const bool set = digit >> bit & 1;
        const unsigned lanes = __ballot_sync(~0u, set);
        peers &= set ? lanes : ~lanes;
    }
    return active ? peers : 0;
}

// All lanes call place(i, digit, peers) with the tile's keys, 32 at a time, lowest first; peers is 0 beyond the last.
// `order` null: the keys as they lie.
template <int bits, class Place>
__device__ void sort_walk(const int* key, const int* order, int n, int shift, Place place) {
    constexpr int ahead = 8;  // keys of a lane that are in flight at once
    static_assert(sort_tile % (ahead * warp_size) == 0);
    const int begin = blockIdx.x * sort_tile, end = std::min(begin + sort_tile, n);
    for (int first = begin + threadIdx.x; first - int(threadIdx.x) < end; first += ahead * warp_size) {
        int at[ahead], digit[ahead];
        const auto active = [&](int u) { return first + u * warp_size < n; };
        UNROLL
        for (int u = 0; u < ahead; u++) {
            const int i = first + u * warp_size;
            at[u] = !active(u) ? 0 : order ? order[i] : i;
        }
        UNROLL
        for (int u = 0; u < ahead; u++) digit[u] = active(u) ? key[at[u]] >> shift & ((1 << bits) - 1) : 0;
        UNROLL
        for (int u = 0; u < ahead; u++) {
            place(at[u], digit[u], sort_peers<bits>(digit[u], active(u)));
            __syncwarp();  // the leaders' additions, before the next 32 look
        }
    }
}
__device__ inline bool sort_leads(unsigned peers) { return __ffs(peers) - 1 == int(threadIdx.x); }

// counts (digits, tiles)
template <int bits>
__global__ void sort_count_kernel(int* counts, const int* key, const int* order, int n, int shift) {
    constexpr int digits = 1 << bits;
    __shared__ int count[digits];
    for (int d = threadIdx.x; d < digits; d += warp_size) count[d] = 0;
    __syncwarp();
    sort_walk<bits>(key, order, n, shift, [&](int, int digit, unsigned peers) {
        if (sort_leads(peers)) count[digit] += __popc(peers);
    });
    for (int d = threadIdx.x; d < digits; d += warp_size) counts[size_t(d) * gridDim.x + blockIdx.x] = count[d];
}

// x[i] = the sum of what stood before it. One block; a thread owns a run of neighbours.
template <int threads>
__global__ void sort_scan_kernel(int* x, int n) {
    __shared__ int warps[warp_size];
    const int lane = threadIdx.x % warp_size, warp = threadIdx.x / warp_size;
    const int run = ceil_div(n, threads), begin = threadIdx.x * run, end = std::min(begin + run, n);
    int mine = 0;
    for (int i = begin; i < end; i++) mine += x[i];

    // Sum up to and with this thread, within its warp and over the warps before.
    int sum = mine;
    for (int offset = 1; offset < warp_size; offset *= 2) {
        const int below = __shfl_up_sync(~0u, sum, offset);
        if (lane >= offset) sum += below;
    }
    if (lane == warp_size - 1) warps[warp] = sum;
    __syncthreads();
    for (int w = 0; w < warp; w++) sum += warps[w];

    sum -= mine;
    for (int i = begin; i < end; i++) {
        const int value = x[i];
        x[i] = sum;
        sum += value;
    }
}

template <int bits>
__global__ void sort_scatter_kernel(int* sorted, const int* counts, const int* key, const int* order, int n,
                                    int shift) {
    constexpr int digits = 1 << bits;
    __shared__ int next[digits];  // where this tile's next key of each digit goes
    for (int d = threadIdx.x; d < digits; d += warp_size) next[d] = counts[size_t(d) * gridDim.x + blockIdx.x];
    __syncwarp();
    sort_walk<bits>(key, order, n, shift, [&](int at, int digit, unsigned peers) {
        if (peers) sorted[next[digit] + __popc(peers & ((1u << threadIdx.x) - 1))] = at;
        __syncwarp();  // all have looked, before the leaders add
        if (sort_leads(peers)) next[digit] += __popc(peers);
    });
}

// Ints.
inline size_t sort_scratch(int n) { return 2 * size_t(n) + (size_t(1) << sort_bits) * ceil_div(n, sort_tile); }

// Returns the order (n), within scratch.
template <class T>
const int* sort_keys(const int* key, int range, int n, int* scratch, const Gpu<T>& on) {
    const int tiles = ceil_div(n, sort_tile);
    int *counts = scratch, *sorted = counts + (size_t(1) << sort_bits) * tiles, *other = sorted + n;
    const int* order = nullptr;
    for (int shift = 0; shift == 0 || (range - 1) >> shift > 0; shift += sort_bits) {
        launch(sort_count_kernel<sort_bits>, tiles, warp_size, 0, on, counts, key, order, n, shift);
        launch(sort_scan_kernel<sort_scan_block>, 1, sort_scan_block, 0, on, counts, tiles << sort_bits);
        launch(sort_scatter_kernel<sort_bits>, tiles, warp_size, 0, on, sorted, counts, key, order, n, shift);
        order = sorted;
        std::swap(sorted, other);
    }
    return order;
}
