// The device that the runtime claims to be: small, so that kernels which size their grid by it stay quick,
// and of Hopper's limits.
#include <cstring>
#include "kernels.h"
#include "shared_memory.h"
#include "stream.h"

using namespace simt;

cudaError_t cudaGetDeviceCount(int* count) {
    SIMT_CALL();
    return *count = 1, cudaSuccess;
}
cudaError_t cudaGetDevice(int* device) {
    SIMT_CALL();
    return *device = 0, cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
    SIMT_CALL();
    return remember(device == 0 ? cudaSuccess : cudaErrorInvalidDevice);
}
cudaError_t cudaDriverGetVersion(int* version) {
    SIMT_CALL();
    return *version = 13000, cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
    SIMT_CALL();
    return *version = 13000, cudaSuccess;
}

// Only its first member is filled, the one that is where it is in every version of CUDA.
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int device) {
    SIMT_CALL();
    if (device != 0) return remember(cudaErrorInvalidDevice);
    *p = {};
    std::strncpy(p->name, kernel_owner().device, sizeof p->name - 1);
    return cudaSuccess;
}
// What CUDA 12's headers call it.
extern "C" cudaError_t cudaGetDeviceProperties_v2(cudaDeviceProp* p, int device) {
    return cudaGetDeviceProperties(p, device);
}

cudaError_t cudaDeviceGetPCIBusId(char* name, int length, int device) {
    SIMT_CALL();
    constexpr char nowhere[] = "0000:00:00.0";  // no GPU has it
    if (device != 0) return remember(cudaErrorInvalidDevice);
    if (length < int(sizeof nowhere)) return remember(cudaErrorInvalidValue);
    std::strcpy(name, nowhere);
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
    SIMT_CALL();
    if (device != 0) return remember(cudaErrorInvalidDevice);
    switch (attribute) {
        case cudaDevAttrMaxThreadsPerBlock: *value = 1024; break;
        case cudaDevAttrMaxSharedMemoryPerBlock: *value = int(static_shared_limit); break;
        case cudaDevAttrClockRate: *value = 1000000; break;
        case cudaDevAttrMultiProcessorCount: *value = multiprocessors; break;
        case cudaDevAttrMemoryClockRate: *value = 1000000; break;
        case cudaDevAttrGlobalMemoryBusWidth: *value = 64; break;
        case cudaDevAttrL2CacheSize: *value = 1 << 20; break;
        case cudaDevAttrMaxThreadsPerMultiProcessor: *value = 2048; break;
        case cudaDevAttrComputeCapabilityMajor: *value = kernel_owner().capability() / 10; break;
        case cudaDevAttrComputeCapabilityMinor: *value = kernel_owner().capability() % 10; break;
        case cudaDevAttrMaxSharedMemoryPerMultiprocessor: *value = int(device_shared_limit()) + 1024; break;
        case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = int(device_shared_limit()); break;
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
