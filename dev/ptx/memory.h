// Addresses as PTX has them, and where they are on this machine. Every access is checked before it is made.
//
// A generic address is a pointer of this machine, and so is a global one. Shared addresses are offsets, from dynamic
// shared memory's begin on, those of another block of the cluster with its rank in the upper bits (shared_window.h);
// local ones begin at 0 in each lane's own memory; a parameter's is its offset.
#pragma once
#include "shared_window.h"
#include "warp.h"

namespace ptx {

inline const SharedWindow& window_of(const simt::Block& b) { return *static_cast<const SharedWindow*>(b.of_owner); }

// Where `bytes` bytes at that address are. Ends the kernel if they are not all there, or not aligned to `alignment`.
char* resolve(Warp&, const Instruction&, unsigned lane, Space, uint64_t address, unsigned bytes, unsigned alignment);

// The address an instruction has for a lane, in its own space.
template <bool wide>
uint64_t address_of(Warp& w, const Instruction& i, unsigned lane) {
    if (i.a == nowhere) return uint64_t(i.offset);
    return uint64_t(i.offset) + (wide ? w.at<uint64_t>(i.a)[lane] : w.at<uint32_t>(i.a)[lane]);
}

// A register of either width; 0 where there is none.
inline uint64_t value_at(Warp& w, Place p, bool wide, unsigned lane) {
    if (p == nowhere) return 0;
    return wide ? w.at<uint64_t>(p)[lane] : w.at<uint32_t>(p)[lane];
}

// The same as `resolve` for what the lane is going to read, of which the shadow is told.
const char* readable(Warp&, const Instruction&, unsigned lane, Space, uint64_t address, unsigned bytes,
                     unsigned alignment);
// Writes that; the shadow is told.
void write(Warp&, const Instruction&, unsigned lane, Space, uint64_t address, const void* value, unsigned bytes);

uint64_t shared_address(Warp&, const Instruction&, unsigned lane,
                        const void*);  // of generic ones; ends the kernel for others

void forget_ranges();  // of buffers that were looked up: they may be gone

}  // namespace ptx
