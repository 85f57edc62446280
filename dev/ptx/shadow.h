// Who has read and written what, and in which order: races, reads of what nobody wrote, reads by ld.global.nc of what
// the same grid writes.
//
// Of every 4 bytes a cell remembers the last write and a last read. An access carries its warp's clock, which
// barriers move on; a warp knows of each other up to which clock it has seen it (vector clocks; FastTrack, Flanagan
// and Freund 2009). Two accesses of different lanes, one of them a write, neither of which has seen the other, are a
// race. Blocks of a grid see nothing of each other, unless they use atomics of global memory: then they are believed.
#pragma once
#include <array>
#include <unordered_map>
#include "warp.h"

namespace ptx {

constexpr unsigned most_warps = 32;
using Clock = uint32_t;
using Clocks = std::array<Clock, most_warps>;  // of each warp of the block

struct Access {
    uint64_t clock : 32, warp : 5, lane : 5, pc : 22;
    uint32_t run;                                 // 0: never. Of shared memory the block, of global memory the grid
    uint32_t block : 24, bytes : 4, written : 4;  // bytes: of this access; written: of all writes of the run
};
struct Cell {
    Access write, read;
};

// Device memory's cells, made when it is first touched.
struct DeviceCells {
    const char *begin = nullptr, *end = nullptr;
    Cell* cells = nullptr;
    unsigned char* written = nullptr;  // a bit for each byte: anybody has ever written it

    bool are_written(const char* p, unsigned bytes) const {  // at most 16
        uint32_t bits;
        __builtin_memcpy(&bits, written + (p - begin) / 8, sizeof bits);
        const uint32_t mask = (1u << bytes) - 1;
        return (bits >> (p - begin) % 8 & mask) == mask;
    }
};
bool find_cells(const void* address, DeviceCells&);

struct SharedWindow;

// Of the block that an OS thread runs.
class Shadow {
public:
    static Shadow& mine();
    void begin(unsigned warps, size_t dynamic_bytes, size_t fixed_bytes, uint32_t grid_run, uint32_t block);

    // ---- Accesses that are in bounds ----
    void read(Warp& w, const Instruction& i, unsigned lane, const char* p, unsigned bytes) {
        access<false>(w, i, lane, p, bytes, false);
    }
    // `same`: the value is there already. Lanes of one instruction that write the same do no harm.
    void write(Warp& w, const Instruction& i, unsigned lane, const char* p, unsigned bytes, bool same = false) {
        access<true>(w, i, lane, p, bytes, same);
    }
    // Volatile, relaxed, acquiring or releasing: such accesses are in no race, and order what stands around them.
    void strong_read(Warp&, const Instruction&, unsigned lane, const char*, unsigned bytes);
    void strong_write(const Warp&, const char*, unsigned bytes);
    // Of what a copy reads of global memory.
    void must_be_written(Warp&, const Instruction&, unsigned lane, const char*, size_t bytes);
    bool is_written(const char* shared, size_t bytes);
    void written_by_copy(const char* shared, size_t bytes);  // whose order dev/simt checks
    void atomic(Warp&, const Instruction&, unsigned lane, const char*, unsigned bytes);

    // ---- What orders them ----
    void step(const Warp& w) { own[w.number]++; }              // the lanes of a warp have met
    void release(const Warp&, const void* at, unsigned slot);  // comes before what follows an acquire of the same
    void acquire(const Warp&, const void* at, unsigned slot);
    void reset(const void* at, unsigned slot) { published.erase(key(at, slot)); }

private:
    template <bool writes>
    void access(Warp&, const Instruction&, unsigned lane, const char*, unsigned bytes, bool same);
    template <bool writes>
    void touch(Warp&, const Instruction&, unsigned lane, const char*, Cell&, unsigned bytes, bool shared, bool same);
    bool seen(const Warp& w, unsigned lane, const Access& a) const {
        if (a.warp == w.number) return a.lane == lane || a.clock < own[w.number];
        return a.clock <= known[w.number][a.warp];
    }
    Cell* shared_cell(const char*);
    void check_constant(Warp&, const Instruction&, unsigned lane, const char*, const Cell&, unsigned mask, bool writes);
    static uint64_t key(const void* at, unsigned slot) { return uint64_t(at) * 4 + slot; }
    [[noreturn]] void race(Warp&, const Instruction&, unsigned lane, const char*, const Access&, bool writes,
                           bool wrote);

    std::vector<Cell> dynamic, fixed;
    size_t dynamic_bytes = 0, fixed_bytes = 0;
    const SharedWindow* window = nullptr;
    DeviceCells device;  // touched last
    uint32_t run = 0, grid_run = 0, block = 0;
    bool believes = false;
    Clocks own{};
    std::array<Clocks, most_warps> known{};
    std::unordered_map<uint64_t, Clocks> published;
};

}  // namespace ptx
