// What the user reads instead of a CUDA error code: one line that says what is wrong, and how to go on.
#pragma once
#include <cuda_runtime.h>
#include <cxxabi.h>
#include <cstdlib>
#include <initializer_list>
#include <memory>
#include <string>
#include "host/base/error.h"

struct CudaProblem {
    const char *what, *reason, *hint;
};

// A null reason: none that a user can mend.
inline CudaProblem explain(cudaError_t code) {
    const char* const cpu = "--device cpu trains without one";
    switch (code) {
        case cudaErrorMemoryAllocation:
            return {"GPU memory", "there is not enough of it left",
                    "`train_gpt plan` shows what a model needs; try a smaller --batch"};
        case cudaErrorNoDevice: return {"GPU", "none was found", cpu};
        case cudaErrorInvalidDevice:
            return {"GPU", "there is none of that number", "is CUDA_VISIBLE_DEVICES set as it should be?"};
        case cudaErrorInsufficientDriver:
            return {"GPU", "the NVIDIA driver is missing or too old for this build",
                    "update the driver, or train with --device cpu"};
        case cudaErrorUnsupportedPtxVersion:
            return {"GPU", "the NVIDIA driver is too old for this build", "update the driver, or build with its CUDA"};
        case cudaErrorSystemDriverMismatch:
        case cudaErrorCompatNotSupportedOnDevice:
            return {"GPU", "the NVIDIA driver and its libraries are of different versions", "restart the machine"};
        case cudaErrorSystemNotReady:
            return {"GPU", "the machine's GPUs are not ready yet", "is nvidia-fabricmanager running?"};
        case cudaErrorInitializationError: return {"GPU", "the NVIDIA driver does not start", "does nvidia-smi work?"};
        case cudaErrorDevicesUnavailable: return {"GPU", "another process has it for itself", "nvidia-smi shows which"};
        case cudaErrorNoKernelImageForDevice:
            return {"GPU", "this build has no code for it", "build again on this machine"};
        case cudaErrorLaunchTimeout:
            return {"GPU", "a kernel ran longer than its display allows", "try a smaller --batch"};
        case cudaErrorECCUncorrectable:
        case cudaErrorHardwareStackError:
        case cudaErrorNvlinkUncorrectable:
            return {"GPU", "the hardware failed", "have it checked; --resume goes on from the last checkpoint"};
        case cudaErrorIllegalAddress:
        case cudaErrorIllegalInstruction:
        case cudaErrorMisalignedAddress:
        case cudaErrorLaunchFailure:
            return {"GPU", nullptr,
                    "please report this with what it says under CUDA_LAUNCH_BLOCKING=1, which names "
                    "the layer, and the GPU's name"};
        default: return {"GPU", nullptr, "please report this, with the GPU's name and driver"};
    }
}

// `during`: what failed.
inline Error cuda_error(cudaError_t code, const std::string& during) {
    const CudaProblem p = explain(code);
    return {Exit::device, p.what, p.reason ? p.reason : during + " failed: " + cudaGetErrorString(code), p.hint};
}
inline void check_cuda(cudaError_t code, const char* call) {
    if (code != cudaSuccess) throw cuda_error(code, std::string("`") + call + "`");
}
#define CUDA(call) check_cuda(call, #call)

constexpr int oldest_gpu = 80;  // compute capability, times ten: Ampere

// A GPU that these kernels cannot run on, in words; "" if they can.
inline std::string too_old(int capability) {
    if (capability >= oldest_gpu) return "";
    const auto text = [](int c) { return std::to_string(c / 10) + "." + std::to_string(c % 10); };
    return "its compute capability " + text(capability) + " is below " + text(oldest_gpu) + " (Ampere)";
}

// A size the kernels of `layer` cannot do ends here, in one line that names layer, size and limit.
inline void check_limit(const char* layer, const char* size, long value, long limit) {
    if (value > limit)
        throw Error(Exit::device, layer,
                    std::string(size) + " = " + std::to_string(value) + " is above the kernels' limit of " +
                        std::to_string(limit),
                    "--device cpu has none");
}

// ------------------------------------------------------------------------------------------------------------ launches

// rmsnorm_forward of rmsnorm_forward_kernel<8, float>.
inline std::string layer_of(const void* kernel) {
    const char* mangled = nullptr;
    if (cudaFuncGetName(&mangled, kernel) != cudaSuccess || !mangled) return "kernel";
    const std::unique_ptr<char, void (*)(void*)> readable(abi::__cxa_demangle(mangled, nullptr, nullptr, nullptr),
                                                          free);
    std::string name = readable ? readable.get() : mangled;
    const std::string unnamed = "(anonymous namespace)::";
    if (const size_t at = name.find(unnamed); at != name.npos) name.erase(0, at + unnamed.size());
    name = name.substr(0, name.find_first_of("<("));
    name = name.substr(name.find_last_of(" :") + 1);  // a template's comes behind its result
    const std::string suffix = "_kernel";
    return name.ends_with(suffix) ? name.substr(0, name.size() - suffix.size()) : name;
}

// What no GPU can launch.
inline void check_launch(const void* kernel, dim3 grid, dim3 block, size_t shared_bytes, size_t shared_limit) {
    struct Limit {
        const char* what;
        size_t value, most;
        const char* hint;
    };
    const char* const fewer = "try a smaller --batch";
    const Limit limits[] = {
        {"blocks along x", grid.x, 0x7fffffff, fewer},
        {"blocks along y", grid.y, 65535, fewer},
        {"blocks along z", grid.z, 65535, fewer},
        {"threads in a block", size_t(block.x) * block.y * block.z, 1024, "please report"},
        {"bytes of shared memory in a block", shared_bytes, shared_limit, "--dtype bf16 needs less"}};
    for (const Limit& l : limits)
        if (l.value > l.most)
            throw Error(
                Exit::device, layer_of(kernel),
                "needs " + std::to_string(l.value) + " " + l.what + ", this GPU can do " + std::to_string(l.most),
                l.hint);
}

// Why a launch that could have been done was not. An illegal access of an earlier kernel may also come to light here.
inline Error launch_error(cudaError_t code, const void* kernel, dim3 grid, dim3 block, size_t shared_bytes) {
    const auto text = [](dim3 d) {
        return std::to_string(d.x) + " x " + std::to_string(d.y) + " x " + std::to_string(d.z);
    };
    return cuda_error(code, layer_of(kernel) + " on " + text(grid) + " blocks of " + text(block) + " threads with " +
                                std::to_string(shared_bytes) + " bytes of shared memory");
}
