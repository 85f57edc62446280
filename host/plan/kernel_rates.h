// How fast this program's kernels are: on the H100 as measured, on other GPUs at the same share of what their data
// sheets say.
#pragma once
#include <string_view>
#include <vector>
#include "gpu_peaks.h"
#include "step_work.h"

// A kernel's rate on an H100 (SXM), as a share of the data sheet's products or memory: the harmonic mean over the
// models that dev/results/h100.json has it of. What attention does beside whole tiles (fitted to two lengths each, in
// dev/RESULTS.md, "Hopper's attention") takes as long as `beside` more keys.
struct KernelRate {
    const char* kernel;
    enum Of { products, memory } of;
    double share, beside = 0;
};
const std::vector<KernelRate>& kernel_rates();

// What the next kernel of a CUDA graph waits for one that has next to nothing to do: 120 of them are a step of `tiny`
// in bf16, which took 0.48 ms on the H100.
constexpr double least_kernel_seconds = 4.0e-6;

enum class Bound { products, memory, launch };
struct KernelSeconds {
    double seconds;
    Bound by;
};
KernelSeconds seconds_of(const StepKernel& kernel, const Peaks& gpu);
