// A ring of places in shared memory that tensor copies fill and products empty.
#pragma once

// Whose turn it is: the slot, and the parity of its barrier's phase.
template <int slots>
struct RingTurn {
    int slot = 0;
    unsigned parity = 0;
    __device__ void next() {
        if (++slot == slots) slot = 0, parity ^= 1;
    }
    __device__ int before() const { return (slot + slots - 1) % slots; }  // the slot
    __device__ RingTurn later(int turns) const {                          // fewer than there are slots
        const bool wraps = slot + turns >= slots;
        return {slot + turns - wraps * slots, parity ^ wraps};
    }
};
