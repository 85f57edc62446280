// Launches, as nvcc's host code asks for them: cudaLaunchKernelEx of the headers, and the stubs behind
// `kernel<<<...>>>(...)`.
#include <vector>
#include "dev/simt/stream.h"
#include "host_runtime.h"
#include "program.h"

namespace {

struct CallConfiguration {  // what stands between <<< and >>>
    dim3 grid, block;
    size_t shared_bytes;
    cudaStream_t stream;
};
thread_local std::vector<CallConfiguration> configurations;

}  // namespace

cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* config, const void* function, void** arguments) {
    if (!config) return simt::remember(cudaErrorInvalidValue);
    const ptx::Entry* entry = ptx::entry_at(function);
    if (!entry) return simt::remember(cudaErrorInvalidDeviceFunction);
    return simt::launch(*config, function, ptx::call(*entry->kernel, arguments));
}
cudaError_t cudaLaunchKernel(const void* function, dim3 grid, dim3 block, void** arguments, size_t shared_bytes,
                             cudaStream_t stream) {
    const cudaLaunchConfig_t config{grid, block, shared_bytes, stream, nullptr, 0};
    return cudaLaunchKernelExC(&config, function, arguments);
}

// A handle is the function's address, which CUDA 12's stubs launch with.
cudaError_t __cudaGetKernel(const void** handle, const void* function) { return *handle = function, cudaSuccess; }
cudaError_t __cudaLaunchKernel(const void* handle, dim3 grid, dim3 block, void** arguments, size_t shared_bytes,
                               cudaStream_t stream) {
    return cudaLaunchKernel(handle, grid, block, arguments, shared_bytes, stream);
}

unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream) {
    configurations.push_back({grid, block, shared_bytes, stream});
    return 0;
}
cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, size_t* shared_bytes, cudaStream_t* stream) {
    if (configurations.empty()) return simt::remember(cudaErrorInvalidConfiguration);
    const CallConfiguration c = configurations.back();
    configurations.pop_back();
    *grid = c.grid, *block = c.block, *shared_bytes = c.shared_bytes, *stream = c.stream;
    return cudaSuccess;
}
