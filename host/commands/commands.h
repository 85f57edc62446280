// The commands of train_gpt, wherever the model lives.
#pragma once
#include "host/base/error.h"
#include "host/options/options.h"

// What this build's kernels would run on: a GPU, dev/simt on the CPU, or nothing, and why.
struct GpuFound {
    enum class Kind { none, simulated, real } kind;
    std::string text;  // its name, or the reason
};

// Defined beside the kernels, in kernels/run_on_gpu.cu.
GpuFound find_gpu();
Exit run_on_gpu(const Options& options);  // train, sample or eval

Exit run_command(const Options& options);  // what the command line asks for, where it asks for it
