// Counts of one OS thread's blocks, an instruction at a time (counters.h).
#pragma once
#include <map>
#include "counters.h"
#include "dev/simt/tensor_map.h"
#include "warp.h"

namespace ptx {

class Tally {
public:
    // Null: nobody counts. `run`: of the launch.
    static Tally* of(const Code&, uint32_t run, bool first_block);

    // Before it is executed, by these lanes of those at it.
    void note(Warp&, const Instruction&, Mask lanes, Mask active);
    void note_box(const Warp&, const Instruction&, const simt::Box&, bool reads);                    // of a tensor copy
    void note_bytes(const Warp&, const Instruction&, const char* global, size_t bytes, bool reads);  // in a row

    struct OfCode {
        const Code* code = nullptr;
        uint64_t launches = 0;
        std::vector<Counts> counts;  // by instruction
    };
    std::map<uint64_t, OfCode> codes;

private:
    struct Buffer {
        const char *begin = nullptr, *end = nullptr;
        uint32_t *read = nullptr, *written = nullptr;  // for each sector the launch that touched it last
    };
    struct Request {
        uint64_t sector[warp_lanes];
        uint32_t bytes[warp_lanes];  // of each sector, bits
        unsigned count = 0;
        void add(uint64_t address, unsigned bytes);
    };
    Counts& of(const Warp& w, const Instruction& i) { return (*counts)[w.index_of(i)]; }
    void note_access(Warp&, const Instruction&, Mask active);
    void note_copy(Warp&, const Instruction&, Mask active);
    void note_matrices(Warp&, const Instruction&);
    void note_global(Traffic&, const Request&, bool reads);
    void note_once(Traffic&, uint64_t sector, bool reads);
    bool find(uint64_t address);
    static bool is_tensor(uint64_t address);  // one of those that start_counting named

    std::vector<Counts>* counts = nullptr;
    uint32_t run = 0;
    Buffer buffer;  // touched last
};

}  // namespace ptx
