// What a GPU's fast kernels were found to do (kernels/self_check.cuh), remembered from run to run: a small file for
// every GPU, driver and build in $XDG_CACHE_HOME/gpt.cu or ~/.cache/gpt.cu.
#pragma once
#include <optional>
#include <string>
#include <vector>
#include "names.h"

// The fast kernels. Where one is wrong, another replaces it: our matmul replaces cuBLAS's, those for any GPU Hopper's,
// the plain one replaces ours, two kernels replace a fused one, and the matmul of many rows that of few.
enum class Kernels {
    linear_cublas,
    linear_hopper,
    linear_tensor,
    linear_fused,
    linear_few,
    attention_hopper_forward,
    attention_hopper_backward,
    attention_forward,
    attention_backward,
    attention_decode
};
template <>
inline constexpr auto names_of<Kernels> = std::to_array({"linear_cublas", "linear_hopper", "linear_tensor",
                                                         "linear_fused", "linear_few", "attention_hopper_forward",
                                                         "attention_hopper_backward", "attention_forward",
                                                         "attention_backward", "attention_decode"});

struct KernelFault {
    Kernels kernels;
    std::string text;  // where they differ from the plain ones
    bool operator==(const KernelFault&) const = default;
};

// All that decides what a kernel does, as far as we know.
struct CheckedOn {
    std::string gpu;
    int driver = 0, runtime = 0;  // versions, as CUDA counts them
    std::string build;
    std::string dtype, gemm;  // what was checked
};

// Nothing: not checked there, or the outcome is lost. A damaged file counts as none.
std::optional<std::vector<KernelFault>> recall_check(const CheckedOn& on);
// If the folder cannot be written, the next run checks again; nothing is said.
void remember_check(const CheckedOn& on, const std::vector<KernelFault>& faults);

std::string this_build();  // a hash of the program that runs
