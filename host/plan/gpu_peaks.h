// What GPUs can do at most, by their makers' data sheets: the yardstick of MFU,
// and of predictions before a measurement.
#pragma once
#include <string_view>
#include <vector>

struct Peaks {
    const char* name;     // as CUDA says it, or the part of it that tells
    double products;      // dense bf16 with fp32 sums, operations a second; a multiplication and an addition are two
    double memory;        // bytes a second
    double exponentials;  // a second: 16 a clock and multiprocessor
};

const std::vector<Peaks>& peaks();
const Peaks* find_peaks(std::string_view gpu);  // null: not in the table
