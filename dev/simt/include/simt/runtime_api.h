// The runtime API's types, and the functions that launch. Work on streams is queued and done at the last moment CUDA
// allows, when something waits for it; CUDA_LAUNCH_BLOCKING=1 does it at once (../stream.cpp).
#pragma once
#include <cstddef>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>
#include "vector_types.h"

#define CUDART_VERSION 13000

// name, number, what cudaGetErrorString says
#define SIMT_ERRORS(row)                                                                                               \
    row(cudaSuccess, 0, "no error") row(cudaErrorInvalidValue, 1, "invalid argument") row(                             \
        cudaErrorMemoryAllocation, 2, "out of memory") row(cudaErrorInitializationError, 3, "initialization error")    \
        row(cudaErrorInvalidConfiguration, 9, "invalid configuration argument") row(                                   \
            cudaErrorInvalidDevicePointer, 17, "invalid device pointer") row(cudaErrorInvalidMemcpyDirection, 21,      \
                                                                             "invalid copy direction for memcpy")      \
            row(cudaErrorInsufficientDriver, 35, "CUDA driver version is insufficient for CUDA runtime version") row(  \
                cudaErrorDevicesUnavailable, 46,                                                                       \
                "CUDA-capable device(s) is/are busy or unavailable") row(cudaErrorInvalidDeviceFunction, 98,           \
                                                                         "invalid device function")                    \
                row(cudaErrorNoDevice, 100, "no CUDA-capable device is detected") row(                                 \
                    cudaErrorInvalidDevice, 101,                                                                       \
                    "invalid device ordinal") row(cudaErrorNoKernelImageForDevice, 209,                                \
                                                  "no kernel image is available for execution on the device")          \
                    row(cudaErrorECCUncorrectable, 214, "uncorrectable ECC error encountered") row(                    \
                        cudaErrorNvlinkUncorrectable, 220, "uncorrectable NVLink error detected during the execution") \
                        row(cudaErrorUnsupportedPtxVersion, 222,                                                       \
                            "the provided PTX was compiled with an unsupported toolchain.")                            \
                            row(cudaErrorInvalidResourceHandle, 400, "invalid resource handle") row(                   \
                                cudaErrorIllegalState, 401,                                                            \
                                "the operation cannot be performed in the present state") row(cudaErrorNotReady, 600,  \
                                                                                              "device not ready")      \
                                row(cudaErrorIllegalAddress, 700, "an illegal memory access was encountered") row(     \
                                    cudaErrorLaunchOutOfResources, 701, "too many resources requested for launch")     \
                                    row(cudaErrorLaunchTimeout, 702, "the launch timed out and was terminated") row(   \
                                        cudaErrorHardwareStackError, 714,                                              \
                                        "hardware stack error") row(cudaErrorIllegalInstruction, 715,                  \
                                                                    "an illegal instruction was encountered")          \
                                        row(cudaErrorMisalignedAddress, 716, "misaligned address") row(                \
                                            cudaErrorLaunchFailure, 719,                                               \
                                            "unspecified launch failure") row(cudaErrorNotSupported, 801,              \
                                                                              "operation not supported")               \
                                            row(cudaErrorSystemNotReady, 802, "system not yet initialized") row(       \
                                                cudaErrorSystemDriverMismatch, 803,                                    \
                                                "system has unsupported display driver / cuda driver combination")     \
                                                row(cudaErrorCompatNotSupportedOnDevice, 804,                          \
                                                    "forward compatibility was attempted on non supported HW")         \
                                                    row(cudaErrorStreamCaptureUnsupported, 900,                        \
                                                        "operation not permitted when stream is capturing")            \
                                                        row(cudaErrorStreamCaptureInvalidated, 901,                    \
                                                            "operation failed due to a previous error during capture") \
                                                            row(cudaErrorStreamCaptureUnjoined, 904,                   \
                                                                "capturing stream has unjoined work")                  \
                                                                row(cudaErrorUnknown, 999, "unknown error")
#define SIMT_ERROR_ENUM(name, number, text) name = number,
enum cudaError_t { SIMT_ERRORS(SIMT_ERROR_ENUM) };
using cudaError = cudaError_t;
const char* cudaGetErrorName(cudaError_t);
const char* cudaGetErrorString(cudaError_t);
cudaError_t cudaGetLastError();
cudaError_t cudaPeekAtLastError();

namespace simt {
struct Stream;
struct Event;
struct Graph;
struct GraphExec;
}  // namespace simt
using cudaStream_t = simt::Stream*;
using cudaEvent_t = simt::Event*;
using cudaGraph_t = simt::Graph*;
using cudaGraphExec_t = simt::GraphExec*;

// ---- Device ----

struct cudaUUID_t {
    char bytes[16];
};
struct cudaDeviceProp {
    char name[256];
    cudaUUID_t uuid;
    size_t totalGlobalMem, sharedMemPerBlock, sharedMemPerBlockOptin, sharedMemPerMultiprocessor,
        reservedSharedMemPerBlock;
    size_t totalConstMem;
    int major, minor, multiProcessorCount, warpSize, maxThreadsPerBlock, maxThreadsPerMultiProcessor;
    int maxBlocksPerMultiProcessor, regsPerBlock, regsPerMultiprocessor, l2CacheSize, persistingL2CacheMaxSize;
    int memoryBusWidth, asyncEngineCount, concurrentKernels, ECCEnabled, integrated;
    int pciBusID, pciDeviceID, pciDomainID, maxThreadsDim[3], maxGridSize[3];
};
enum cudaDeviceAttr {
    cudaDevAttrMaxThreadsPerBlock = 1,
    cudaDevAttrMaxSharedMemoryPerBlock = 8,
    cudaDevAttrClockRate = 13,
    cudaDevAttrMultiProcessorCount = 16,
    cudaDevAttrMemoryClockRate = 36,
    cudaDevAttrGlobalMemoryBusWidth = 37,
    cudaDevAttrL2CacheSize = 38,
    cudaDevAttrMaxThreadsPerMultiProcessor = 39,
    cudaDevAttrComputeCapabilityMajor = 75,
    cudaDevAttrComputeCapabilityMinor = 76,
    cudaDevAttrMaxSharedMemoryPerMultiprocessor = 81,
    cudaDevAttrMaxSharedMemoryPerBlockOptin = 97
};
cudaError_t cudaGetDeviceCount(int*);
cudaError_t cudaGetDevice(int*);
cudaError_t cudaSetDevice(int);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp*, int device);
cudaError_t cudaDeviceGetAttribute(int*, cudaDeviceAttr, int device);
cudaError_t cudaDeviceGetPCIBusId(char* name, int length, int device);
cudaError_t cudaDeviceSynchronize();
cudaError_t cudaDeviceReset();
cudaError_t cudaDriverGetVersion(int*);
cudaError_t cudaRuntimeGetVersion(int*);
// Functions of the driver: there is cuTensorMapEncodeTiled (../tensor_map.cpp).
enum cudaDriverEntryPointQueryResult {
    cudaDriverEntryPointSuccess,
    cudaDriverEntryPointSymbolNotFound,
    cudaDriverEntryPointVersionNotSufficent  // as CUDA spells it
};
constexpr unsigned long long cudaEnableDefault = 0;
cudaError_t cudaGetDriverEntryPoint(const char* name, void** function, unsigned long long flags,
                                    cudaDriverEntryPointQueryResult* = nullptr);
cudaError_t cudaGetDriverEntryPointByVersion(const char* name, void** function, unsigned version,
                                             unsigned long long flags, cudaDriverEntryPointQueryResult* = nullptr);

// ---- Memory ----

enum cudaMemcpyKind {
    cudaMemcpyHostToHost,
    cudaMemcpyHostToDevice,
    cudaMemcpyDeviceToHost,
    cudaMemcpyDeviceToDevice,
    cudaMemcpyDefault
};
constexpr unsigned cudaHostAllocDefault = 0, cudaHostAllocPortable = 1, cudaHostAllocMapped = 2;
namespace simt {
cudaError_t allocate_device(void** p, size_t bytes);
cudaError_t allocate_pinned(void** p, size_t bytes);
}  // namespace simt
template <class T>
cudaError_t cudaMalloc(T** p, size_t bytes) {
    return simt::allocate_device(reinterpret_cast<void**>(p), bytes);
}
template <class T>
cudaError_t cudaMallocHost(T** p, size_t bytes, unsigned = 0) {
    return simt::allocate_pinned(reinterpret_cast<void**>(p), bytes);
}
template <class T>
cudaError_t cudaHostAlloc(T** p, size_t bytes, unsigned flags) {
    return cudaMallocHost(p, bytes, flags);
}
template <class T>
cudaError_t cudaMallocAsync(T** p, size_t bytes, cudaStream_t) {
    return cudaMalloc(p, bytes);
}
cudaError_t cudaFree(void*);
cudaError_t cudaFreeHost(void*);
cudaError_t cudaFreeAsync(void*, cudaStream_t);
cudaError_t cudaMemGetInfo(size_t* free_bytes, size_t* total);
cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind);
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind, cudaStream_t = nullptr);
cudaError_t cudaMemcpy2DAsync(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width,
                              size_t height, cudaMemcpyKind, cudaStream_t = nullptr);
cudaError_t cudaMemset(void*, int value, size_t bytes);
cudaError_t cudaMemsetAsync(void*, int value, size_t bytes, cudaStream_t = nullptr);

// ---- Streams, events, graphs ----

constexpr unsigned cudaStreamDefault = 0, cudaStreamNonBlocking = 1;
constexpr unsigned cudaEventDefault = 0, cudaEventBlockingSync = 1, cudaEventDisableTiming = 2;
enum cudaStreamCaptureMode {
    cudaStreamCaptureModeGlobal,
    cudaStreamCaptureModeThreadLocal,
    cudaStreamCaptureModeRelaxed
};
enum cudaStreamCaptureStatus {
    cudaStreamCaptureStatusNone,
    cudaStreamCaptureStatusActive,
    cudaStreamCaptureStatusInvalidated
};
cudaError_t cudaStreamCreate(cudaStream_t*);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t*, unsigned flags);
cudaError_t cudaStreamCreateWithPriority(cudaStream_t*, unsigned flags, int priority);
cudaError_t cudaStreamDestroy(cudaStream_t);
cudaError_t cudaStreamSynchronize(cudaStream_t);
cudaError_t cudaStreamQuery(cudaStream_t);
cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned flags = 0);
cudaError_t cudaLaunchHostFunc(cudaStream_t, void (*)(void*), void*);
cudaError_t cudaEventCreate(cudaEvent_t*);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t*, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t);
cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t = nullptr);
cudaError_t cudaEventSynchronize(cudaEvent_t);
cudaError_t cudaEventQuery(cudaEvent_t);
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t from, cudaEvent_t to);
cudaError_t cudaStreamBeginCapture(cudaStream_t, cudaStreamCaptureMode);
cudaError_t cudaStreamEndCapture(cudaStream_t, cudaGraph_t*);
cudaError_t cudaStreamIsCapturing(cudaStream_t, cudaStreamCaptureStatus*);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t*, cudaGraph_t, unsigned long long flags = 0);
cudaError_t cudaGraphLaunch(cudaGraphExec_t, cudaStream_t);
cudaError_t cudaGraphGetNodes(cudaGraph_t, void* nodes, size_t* count);
cudaError_t cudaGraphDestroy(cudaGraph_t);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t);

// ---- Launches ----

enum cudaLaunchAttributeID {
    cudaLaunchAttributeClusterDimension = 4,
    cudaLaunchAttributeProgrammaticStreamSerialization = 6
};
union cudaLaunchAttributeValue {
    struct {
        unsigned x, y, z;
    } clusterDim;
    int programmaticStreamSerializationAllowed;
};
struct cudaLaunchAttribute {
    cudaLaunchAttributeID id;
    cudaLaunchAttributeValue val;
};
struct cudaLaunchConfig_t {
    dim3 gridDim, blockDim;
    size_t dynamicSmemBytes;
    cudaStream_t stream;
    cudaLaunchAttribute* attrs;
    unsigned numAttrs;
};
enum cudaFuncAttribute {
    cudaFuncAttributeMaxDynamicSharedMemorySize = 8,
    cudaFuncAttributePreferredSharedMemoryCarveout = 9
};
struct cudaFuncAttributes {
    size_t sharedSizeBytes, constSizeBytes, localSizeBytes;
    int maxThreadsPerBlock, numRegs;
    int ptxVersion, binaryVersion, maxDynamicSharedSizeBytes;
};
namespace simt {
// A kernel with its arguments. Plain pointers rather than std::function: every frame shows in backtraces.
struct Call {
    std::shared_ptr<const void> arguments;
    void (*run)(const void* arguments);
    void (*begin)(const void* arguments) = nullptr;  // of a block, before its threads
};
template <class... P>
struct Arguments {
    void (*kernel)(P...);
    std::tuple<std::remove_cvref_t<P>...> values;

    template <size_t... i>
    void call(std::index_sequence<i...>) const {
        kernel(std::get<i>(values)...);
    }
    static void run(const void* p) { static_cast<const Arguments*>(p)->call(std::index_sequence_for<P...>()); }
    static void free(const void* p) { delete static_cast<const Arguments*>(p); }
};
cudaError_t launch(const cudaLaunchConfig_t&, const void* kernel, Call);
cudaError_t set_attribute(const void* kernel, cudaFuncAttribute, int value);
cudaError_t get_attributes(cudaFuncAttributes*, const void* kernel);
cudaError_t blocks_per_multiprocessor(int* blocks, const void* kernel, int threads, size_t dynamic_shared_bytes);
}  // namespace simt

template <class... P, class... A>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(P...), A&&... args) {
    static_assert(sizeof...(P) == sizeof...(A), "a kernel takes all its arguments");
    using Arguments = simt::Arguments<P...>;
    std::shared_ptr<const void> all(new Arguments{kernel, {std::forward<A>(args)...}}, Arguments::free);
    return simt::launch(*config, reinterpret_cast<const void*>(kernel), {std::move(all), Arguments::run});
}
template <class... P>
cudaError_t cudaLaunchKernel(void (*kernel)(P...), dim3 grid, dim3 block, void** args, size_t shared_bytes,
                             cudaStream_t stream) {
    const cudaLaunchConfig_t config{grid, block, shared_bytes, stream, nullptr, 0};
    return [&]<size_t... i>(std::index_sequence<i...>) {
        return cudaLaunchKernelEx(&config, kernel, *static_cast<std::remove_cvref_t<P>*>(args[i])...);
    }
    (std::index_sequence_for<P...>());
}
template <class... P>
cudaError_t cudaFuncSetAttribute(void (*kernel)(P...), cudaFuncAttribute attribute, int value) {
    return simt::set_attribute(reinterpret_cast<const void*>(kernel), attribute, value);
}
template <class... P>
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, void (*kernel)(P...)) {
    return simt::get_attributes(attributes, reinterpret_cast<const void*>(kernel));
}
cudaError_t cudaFuncGetName(const char** mangled, const void* kernel);
template <class... P>
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, void (*kernel)(P...), int threads,
                                                          size_t shared_bytes) {
    return simt::blocks_per_multiprocessor(blocks, reinterpret_cast<const void*>(kernel), threads, shared_bytes);
}
