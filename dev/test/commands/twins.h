// Two runs of the same random settings on the CPU: one is left alone, the other is killed, signalled, and its disk
// fails. In the end nothing may tell them apart.
#pragma once
#include <cstdint>
#include <string>

struct TwinCounts {
    int pairs = 0, kills = 0, signals = 0, faults = 0, interruptions = 0, intruders = 0, resumes = 0, restarts = 0,
        lost = 0;
    std::string text() const;
};

// "" or what differs, with the settings.
std::string try_twins(uint64_t seed, TwinCounts& counts);
