// Where the shared memory of the calling OS thread's block is.
#pragma once
#include <cstddef>
#include <cstdint>

namespace ptx {

class Shadow;

// Addresses of shared memory, as 32 bits: dynamic shared memory begins at 0. What kernels declare with a size ends
// before this, from a multiple of 1024 on, and never meets it.
constexpr uint32_t static_shared_end = 255 * 1024;

struct SharedWindow {
    char *dynamic, *fixed;
    size_t dynamic_bytes, fixed_bytes;
    uint32_t fixed_begin;  // its address
    Shadow* shadow;        // or null
};

// An address of another block's shared memory, in the window of the cluster: its rank, plus 1, above these bits.
constexpr unsigned rank_shift = 24, most_ranks = 16;
constexpr uint32_t in_block = (1u << rank_shift) - 1;
constexpr uint32_t cluster_address(unsigned rank, uint32_t address) { return (rank + 1) << rank_shift | address; }
constexpr bool has_rank(uint64_t address) { return address >> rank_shift && address >> rank_shift <= most_ranks; }
constexpr unsigned rank_in(uint64_t address) { return unsigned(address >> rank_shift) - 1; }

inline SharedWindow& shared_window() {
    static thread_local SharedWindow window{};
    return window;
}

}  // namespace ptx
