// The device that the runtime claims to be: small, so that kernels which size their grid by it stay quick,
// and of Hopper's limits.
#include <algorithm>
#include <cstring>
#include "shared_memory.h"
#include "stream.h"

using namespace simt;

namespace {
constexpr int multiprocessors = 4;
}

cudaError_t cudaGetDeviceCount(int* count) { return *count = 1, cudaSuccess; }
cudaError_t cudaGetDevice(int* device) { return *device = 0, cudaSuccess; }
cudaError_t cudaSetDevice(int device) { return remember(device == 0 ? cudaSuccess : cudaErrorInvalidDevice); }
cudaError_t cudaDriverGetVersion(int* version) { return *version = 13000, cudaSuccess; }
cudaError_t cudaRuntimeGetVersion(int* version) { return *version = 13000, cudaSuccess; }

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int device) {
    if (device != 0) return remember(cudaErrorInvalidDevice);
    *p = {};
    std::strcpy(p->name, "simt (CPU)");
    size_t free_bytes;
    cudaMemGetInfo(&free_bytes, &p->totalGlobalMem);
    p->sharedMemPerBlock = static_shared_limit;
    p->sharedMemPerBlockOptin = shared_limit;
    p->sharedMemPerMultiprocessor = shared_limit + 1024;
    p->reservedSharedMemPerBlock = 1024;
    p->totalConstMem = 65536;
    p->major = 9;
    p->multiProcessorCount = multiprocessors;
    p->warpSize = 32;
    p->maxThreadsPerBlock = 1024;
    p->maxThreadsPerMultiProcessor = 2048;
    p->maxBlocksPerMultiProcessor = 32;
    p->regsPerBlock = p->regsPerMultiprocessor = 65536;
    p->l2CacheSize = 1 << 20;
    p->memoryBusWidth = 64;
    p->asyncEngineCount = 1;
    p->concurrentKernels = 1;
    const int threads[] = {1024, 1024, 64}, blocks[] = {0x7fffffff, 65535, 65535};
    std::copy_n(threads, 3, p->maxThreadsDim);
    std::copy_n(blocks, 3, p->maxGridSize);
    return cudaSuccess;
}

cudaError_t cudaDeviceGetPCIBusId(char* name, int length, int device) {
    constexpr char nowhere[] = "0000:00:00.0";  // no GPU has it
    if (device != 0) return remember(cudaErrorInvalidDevice);
    if (length < int(sizeof nowhere)) return remember(cudaErrorInvalidValue);
    std::strcpy(name, nowhere);
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
    cudaDeviceProp p;
    if (const cudaError_t error = cudaGetDeviceProperties(&p, device)) return error;
    switch (attribute) {
        case cudaDevAttrMaxThreadsPerBlock: *value = p.maxThreadsPerBlock; break;
        case cudaDevAttrMaxSharedMemoryPerBlock: *value = int(p.sharedMemPerBlock); break;
        case cudaDevAttrClockRate: *value = 1000000; break;
        case cudaDevAttrMultiProcessorCount: *value = p.multiProcessorCount; break;
        case cudaDevAttrMemoryClockRate: *value = 1000000; break;
        case cudaDevAttrGlobalMemoryBusWidth: *value = p.memoryBusWidth; break;
        case cudaDevAttrL2CacheSize: *value = p.l2CacheSize; break;
        case cudaDevAttrMaxThreadsPerMultiProcessor: *value = p.maxThreadsPerMultiProcessor; break;
        case cudaDevAttrComputeCapabilityMajor: *value = p.major; break;
        case cudaDevAttrComputeCapabilityMinor: *value = p.minor; break;
        case cudaDevAttrMaxSharedMemoryPerMultiprocessor: *value = int(p.sharedMemPerMultiprocessor); break;
        case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = int(p.sharedMemPerBlockOptin); break;
        default: return remember(cudaErrorInvalidValue);
    }
    return cudaSuccess;
}

// clang-format off
#define SIMT_ERROR_NAME(name, number, text) case number: return #name;
#define SIMT_ERROR_TEXT(name, number, text) case number: return text;
// clang-format on
const char* cudaGetErrorName(cudaError_t error) {
    switch (int(error)) { SIMT_ERRORS(SIMT_ERROR_NAME) }
    return "unrecognized error code";
}
const char* cudaGetErrorString(cudaError_t error) {
    switch (int(error)) { SIMT_ERRORS(SIMT_ERROR_TEXT) }
    return "unrecognized error code";
}
