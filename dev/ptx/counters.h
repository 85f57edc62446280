// What kernels did, counted while they ran: instructions by kind, bytes, sectors, bank conflicts, products, divergence.
//
// Exact, but of PTX: ptxas merges and moves instructions, and no cache is between a warp and memory here. What matters
// for speed stays the same: which sectors of 32 bytes a request of a warp touches, how many of their bytes it uses, and
// into how many wavefronts the banks of shared memory divide it (a phase is 32 lanes of up to 4 bytes, 16 of 8, 8 of
// 16; a wavefront takes one word of each bank).
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace ptx {

enum class Kind : uint8_t {
    integer,
    floating,
    special,  // approximated functions
    conversion,
    move,
    predicate,
    control,
    global,
    shared,
    local,
    parameter,
    atomic,
    warp,     // shuffles, votes, matches
    barrier,  // and fences, and waiting for copies
    copy,     // asynchronous
    tensor,

    count
};
const char* name_of(Kind);

struct Traffic {                                     // of global memory, one way
    uint64_t requests = 0, sectors = 0, useful = 0;  // useful: bytes, each once a request
    uint64_t once = 0;                               // bytes of all sectors of the tensors, each once a launch
    uint64_t scratch = 0;                            // the same of other buffers
    uint64_t bytes() const { return sectors * 32; }
    void add(const Traffic& other) {
        requests += other.requests, sectors += other.sectors;
        useful += other.useful, once += other.once, scratch += other.scratch;
    }
};
struct Counts {
    uint64_t instructions = 0, lanes = 0;  // of warps, and of their lanes
    uint64_t branches = 0, divergent = 0;  // divergent: some lanes jump and some do not
    Traffic read, written;
    uint64_t shared_requests = 0, wavefronts = 0, phases = 0;  // of shared memory
    uint64_t operations = 0;                                   // of tensor cores: products and sums
    uint64_t conflicts() const { return wavefronts - phases; }
    void add(const Counts& other) {
        instructions += other.instructions, lanes += other.lanes;
        branches += other.branches, divergent += other.divergent;
        read.add(other.read), written.add(other.written);
        shared_requests += other.shared_requests, wavefronts += other.wavefronts, phases += other.phases;
        operations += other.operations;
    }
};
struct LineCounts {
    std::string file;
    int line;
    Counts counts;
};
struct KernelCounts {
    std::string kernel;  // its name, readable
    uint64_t launches = 0;
    uint64_t kinds[size_t(Kind::count)] = {};  // instructions of warps
    Counts all;
    // Of its innermost loops that have products of tensor cores, or, where none has, of all its loops.
    Counts main_loops;
    std::vector<LineCounts> lines;  // by file and line
};

struct Extent {
    const void* begin;
    size_t bytes;
};
// `tensors`: all buffers, if none is named. No kernel may run meanwhile, nor may a module that was loaded between the
// two calls be gone at the second.
void start_counting(std::vector<Extent> tensors = {});
std::vector<KernelCounts> stop_counting();  // of kernels launched since, by name

}  // namespace ptx
