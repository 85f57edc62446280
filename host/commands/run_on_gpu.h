// The commands that use the kernels, and what those would run on. Defined beside the kernels, in kernels/run_on_gpu.cu.
#pragma once
#include <string>
#include "host/base/error.h"
#include "host/options/options.h"
#include "host/world/world.h"

// What this build's kernels would run on: a GPU, dev/simt or dev/ptx on the CPU, or nothing, and why.
struct GpuFound {
    enum class Kind { none, simulated, real } kind;
    std::string text;  // its name, or the reason
};

GpuFound find_gpu();
std::string kernels_text();                                        // what they were compiled by, and for
Exit run_on_gpu(const Options& options, const World& world = {});  // train, sample or eval
