// Memory that is free where a model is to live. Devices say it by this function (kernels/available_memory.cuh).
#pragma once
#include <algorithm>
#include <cstdint>
#include "host/reference/cpu.h"
#include "host/world/world.h"
#include "run_setup.h"

// Of this machine, or of the control group that this process is in, if that may have less; 0: it does not say.
uint64_t available_memory();

struct Available {
    uint64_t bytes;
    int sharing;  // ranks of this machine that have them together
    bool host;    // the machine's own memory
};
template <class T>
Available available_memory(const Cpu<T>&, const World& world) {
    return {available_memory(), world.neighbours(), true};
}

// What every rank may have: as little as the one that has least.
template <class Device>
MemoryOfRank memory_of_a_rank(const Device& on, const World& world) {
    const Available mine = available_memory(on, world);
    const uint64_t share = mine.bytes / uint64_t(mine.sharing);
    return {world.alone() ? share : std::ranges::min(world.of_all(share)), mine.host};
}
