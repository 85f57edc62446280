// Two runs of the same random settings: one is left alone, the other is killed, signalled, and its disk fails. In the
// end nothing may tell them apart.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>

struct TwinCounts {
    int pairs = 0, kills = 0, signals = 0, faults = 0, interruptions = 0, intruders = 0, resumes = 0, restarts = 0,
        lost = 0;
    std::string text() const;
};

struct RunsOn {
    std::string device = "cpu", dtype = "fp32";
};

// "" or what differs, with the settings.
std::string try_twins(uint64_t seed, const RunsOn& on, TwinCounts& counts);

// "" or in what two runs that have ended differ: a line of their logs (without times, and texts to look at), the best
// or the last checkpoint, or a byte of the last. A disk that failed may have cost b a checkpoint, the best one, too.
std::string difference_of(const std::filesystem::path& a, const std::filesystem::path& b, bool disk_failed = false);
