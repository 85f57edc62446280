// What GPUs can do at most, by their makers' data sheets: the yardstick of MFU,
// and of predictions before a measurement.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

// How the GPUs of one machine reach each other: over NVLink, or over PCIe and the host's memory.
enum class Inside { nvlink, pcie };

struct Peaks {
    const char* name;     // as CUDA says it, or the part of it that tells
    double products;      // dense bf16 with fp32 sums, operations a second; a multiplication and an addition are two
    double memory;        // bytes a second
    double exponentials;  // a second: 16 a clock and multiprocessor
    uint64_t capacity;    // bytes of memory
    double inside;        // bytes a second to its neighbour in the machine, one way, as NCCL counts (src/graph/topo.h)
    Inside by;
};

const std::vector<Peaks>& peaks();
const Peaks* find_peaks(std::string_view gpu);  // null: not in the table

// Of what a person calls a GPU: a name of the table, or words that only one of them has ("4090", "a100 sxm4"). Throws
// Error{usage} that lists those known.
const Peaks& named_gpu(const std::string& name);
