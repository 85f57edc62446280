// The GPU that is here, and what train_gpt does on it; built by the host compiler, on the CPU (dev/simt).
#include "host/commands/run_on_gpu.h"
#include "kernels/tools/cuda_error.cuh"
#include "kernels/tools/device.cuh"
#include "kernels/tools/gpu.cuh"

GpuFound find_gpu() {
    int count = 0;
    const cudaError_t error = cudaGetDeviceCount(&count);
    if (error != cudaSuccess) {
        const char* const reason = explain(error).reason;
        return {GpuFound::Kind::none, reason ? reason : cudaGetErrorString(error)};
    }
    if (count == 0) return {GpuFound::Kind::none, explain(cudaErrorNoDevice).reason};
    int major = 0, minor = 0;
    CUDA(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0));
    CUDA(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, 0));
    const std::string name = device_name(), reason = too_old(10 * major + minor);
    if (!reason.empty()) return {GpuFound::Kind::none, name + " is too old: " + reason};
    return {is_simulated(name) ? GpuFound::Kind::simulated : GpuFound::Kind::real, name};
}

std::string kernels_text() {
#ifdef __CUDACC__
    std::string text = "nvcc " + std::to_string(__CUDACC_VER_MAJOR__) + "." + std::to_string(__CUDACC_VER_MINOR__);
    const char* before = " for ";
    for (const int architecture : {__CUDA_ARCH_LIST__}) {  // 800 is compute capability 8.0, as machine code or PTX
        text += before + std::to_string(architecture / 100) + "." + std::to_string(architecture / 10 % 10);
        before = ", ";
    }
    return text;
#else
    return "on the CPU (dev/simt)";
#endif
}

template <class T>
Exit run_on_gpu(const Options& options, const std::string& dtype, const World& world);  // run_on_gpu.cuh

Exit run_on_gpu(const Options& options, const World& world) {
    return options.dtype == Dtype::bf16 ? run_on_gpu<bf16>(options, "bf16", world)
                                        : run_on_gpu<float>(options, "fp32", world);
}
