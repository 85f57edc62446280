// Gpu<T>: where kernels run, as Cpu<T> (host/reference/cpu.h) is where references run. The only way to launch a kernel.
#pragma once
#include <cuda_bf16.h>
#include <cuda_profiler_api.h>
#include <cuda_runtime.h>
#include <map>
#include <typeindex>
#include <unordered_map>
#include "cuda_error.cuh"
#include "downloads.cuh"
#include "host/base/remembered_check.h"
#include "host/reference/cpu.h"
#include "timeline.cuh"
#include "uploads.cuh"

using bf16 = __nv_bfloat16;
struct CublasLt;  // cublaslt.cuh

template <class T>
class Gpu {
public:
    using Real = T;                             // storage of weights, activations and the gradients of activations
    using Stat = float;                         // statistics, losses, weight gradients, moments
    static constexpr int vocab_multiple = 128;  // rows of logits stay 16-byte aligned, and whole tiles of a product
    static constexpr int steps_ahead = 1;       // submitted while the last one's result is on its way

    cudaStream_t stream = nullptr;  // everything runs in its order
    int sm_count = 0;
    int shared_limit = 0;  // bytes a block may have
    int capability = 0;    // times ten
    Gemm gemm = Gemm::automatic;
    const CublasLt* cublas = nullptr;  // null: the machine's
    Into into = Into::add;             // what gradients of weights do to what is there
    // The same device for layers that are to treat gradients of weights so. Gpt says it in every call.
    Gpu writing(Into gradients) const {
        Gpu device = *this;
        device.into = gradients;
        return device;
    }

    // Launchers use the plain kernels instead of those that self_check.cuh found wrong on this GPU.
    bool trusts(Kernels kernels) const { return !(distrusted >> unsigned(kernels) & 1); }
    void distrust(Kernels kernels) {
        distrusted |= 1u << unsigned(kernels);
        if (kernels == Kernels::linear_cublas) gemm = Gemm::native;
    }

    explicit Gpu(int device = 0) {
        const auto attribute = [=](cudaDeviceAttr which) {
            int value = 0;
            CUDA(cudaDeviceGetAttribute(&value, which, device));
            return value;
        };
        int count = 0;
        CUDA(cudaGetDeviceCount(&count));
        if (device >= count) throw cuda_error(cudaErrorNoDevice, "");
        CUDA(cudaSetDevice(device));
        capability = 10 * attribute(cudaDevAttrComputeCapabilityMajor) + attribute(cudaDevAttrComputeCapabilityMinor);
        const std::string reason = too_old(capability);
        if (!reason.empty()) throw Error(Exit::device, "GPU", reason, "--device cpu trains without it");
        sm_count = attribute(cudaDevAttrMultiProcessorCount);
        shared_limit = attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin);
        state = std::make_shared<State>();  // what it keeps is of the GPU that was just set
        CUDA(cudaStreamCreate(&state->stream));
        stream = state->stream;
    }

    // n zeros, 256-byte aligned; they live as long as any copy of this device. Throws Error{device} without memory.
    template <class U>
    U* allocate(size_t n) const {
        U* p = static_cast<U*>(state->block(std::max<size_t>(n, 1) * sizeof(U)));
        zero(p, n);
        return p;
    }

    // n elements of pinned memory for the copies below, which run while the host does something else. Do not touch it
    // until the device has reached a later mark.
    template <class U>
    U* allocate_host(size_t n) const {
        void* p = nullptr;
        CUDA(cudaMallocHost(&p, std::max<size_t>(n, 1) * sizeof(U)));
        state->host_blocks.push_back(p);
        return static_cast<U*>(p);
    }
    template <class U>
    void upload_async(U* device, const U* host, size_t n) const {  // ahead of the stream
        state->uploads.upload(device, host, n * sizeof(U), stream);
    }
    template <class U>
    void download_async(U* host, const U* device, size_t n) const {
        CUDA(cudaMemcpyAsync(host, device, n * sizeof(U), cudaMemcpyDeviceToHost, stream));
    }

    // A place in the stream's order.
    using Mark = std::shared_ptr<std::remove_pointer_t<cudaEvent_t>>;
    Mark mark() const {
        cudaEvent_t event;
        CUDA(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
        const Mark mark(event, [](cudaEvent_t e) { cudaEventDestroy(e); });
        CUDA(cudaEventRecord(event, stream));
        return mark;
    }
    void wait(const Mark& mark) const { CUDA(cudaEventSynchronize(mark.get())); }
    bool reached(const Mark& mark) const {
        const cudaError_t error = cudaEventQuery(mark.get());
        if (error == cudaErrorNotReady) return false;
        check_cuda(error, "cudaEventQuery");
        return true;
    }

    // Work that is the same every time, as a CUDA graph. The first time it runs directly, so that the workspace can
    // grow. The second time it is recorded; from then on one launch repeats all its kernels without gaps.
    struct Recording {
        bool seen = false;
        std::shared_ptr<std::remove_pointer_t<cudaGraphExec_t>> graph;
    };
    template <class Work>
    void replay(Recording& recording, Work work) const {
        if (timeline() || !std::exchange(recording.seen, true)) return work();
        if (!recording.graph) record(recording, work);
        CUDA(cudaGraphLaunch(recording.graph.get(), stream));
    }

    template <class U>
    void zero(U* p, size_t n) const {
        CUDA(cudaMemsetAsync(p, 0, n * sizeof(U), stream));
    }

    // Both return when the copy is done.
    template <class U>
    void upload(U* device, const U* host, size_t n) const {
        CUDA(cudaMemcpyAsync(device, host, n * sizeof(U), cudaMemcpyHostToDevice, stream));
        synchronize();
    }
    template <class U>
    void download(U* host, const U* device, size_t n) const {
        CUDA(cudaMemcpyAsync(host, device, n * sizeof(U), cudaMemcpyDeviceToHost, stream));
        synchronize();
    }
    // The same for one other thread, past the work that is queued: none of it may change what is copied.
    template <class U>
    void download_aside(U* host, const U* device, size_t n) const {
        state->downloads.download(host, device, n * sizeof(U));
    }
    void synchronize() const { CUDA(cudaStreamSynchronize(stream)); }

    // For people with a profiler, and for those without one: see dev/doc/profiling.md. The timeline may be null.
    NvtxRange range(const char* name, long index = -1) const { return NvtxRange(name, index); }
    void profiler_start() const { synchronize(), CUDA(cudaProfilerStart()); }
    void profiler_stop() const { synchronize(), CUDA(cudaProfilerStop()); }
    void watch(Timeline* timeline) const { state->timeline = timeline; }
    Timeline* timeline() const { return state->timeline; }

    // At least n elements that a launcher's kernels may use until the next call. The workspace grows in the first steps
    // only; what it grew out of stays allocated, as kernels in flight or a captured graph may still use it.
    template <class U>
    U* scratch(size_t n) const {
        if (state->workspace_bytes < n * sizeof(U)) {
            state->workspace_bytes = std::max({n * sizeof(U), 2 * state->workspace_bytes, size_t(1) << 20});
            state->workspace = state->block(state->workspace_bytes);
        }
        return static_cast<U*>(state->workspace);
    }

    // What launchers keep from call to call, one of each type, made when it is first asked for.
    template <class U, class... A>
    U& kept(const A&... made_of) const {
        std::shared_ptr<void>& it = state->kept[typeid(U)];
        if (!it) it = std::make_shared<U>(made_of...);
        return *static_cast<U*>(it.get());
    }

    // Of a kernel's machine code for this GPU: bytes of shared memory that it and the functions it calls declare, and
    // threads that a block may have. When first asked, it also lets the kernel have all the shared memory that a block
    // can: if nobody did, it would get 48 KiB, and these bytes are among them.
    struct Code {
        size_t own_shared;
        int threads;
    };
    template <class... P>
    Code code_of(void (*kernel)(P...)) const {
        const void* const address = reinterpret_cast<const void*>(kernel);
        if (const auto known = state->codes.find(address); known != state->codes.end()) return known->second;
        cudaFuncAttributes attributes = {};
        CUDA(cudaFuncGetAttributes(&attributes, kernel));
        const size_t own = attributes.sharedSizeBytes;
        CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared_limit - int(own)));
        return state->codes[address] = {own, attributes.maxThreadsPerBlock};
    }

private:
    unsigned distrusted = 0;  // a bit for each of Kernels

    template <class Work>
    void record(Recording& recording, Work work) const {
        cudaGraph_t graph = nullptr;
        CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
        try {
            work();
        } catch (...) {
            cudaStreamEndCapture(stream, &graph);
            if (graph) cudaGraphDestroy(graph);
            throw;
        }
        CUDA(cudaStreamEndCapture(stream, &graph));
        cudaGraphExec_t ready = nullptr;
        const cudaError_t error = cudaGraphInstantiate(&ready, graph, 0);
        cudaGraphDestroy(graph);
        check_cuda(error, "cudaGraphInstantiate");
        recording.graph.reset(ready, [](cudaGraphExec_t g) { cudaGraphExecDestroy(g); });
    }

    struct State {
        cudaStream_t stream = nullptr;
        std::vector<void*> blocks, host_blocks;
        std::map<std::type_index, std::shared_ptr<void>> kept;
        std::unordered_map<const void*, Code> codes;
        void* workspace = nullptr;
        size_t workspace_bytes = 0;
        Timeline* timeline = nullptr;
        Uploads uploads;
        Downloads downloads;
        void* block(size_t bytes) {
            void* p = nullptr;
            CUDA(cudaMalloc(&p, bytes));
            blocks.push_back(p);
            return p;
        }
        ~State() {  // an error now is an earlier one, already reported
            if (stream) cudaStreamSynchronize(stream), cudaStreamDestroy(stream);
            for (void* p : blocks) cudaFree(p);
            for (void* p : host_blocks) cudaFreeHost(p);
        }
    };
    std::shared_ptr<State> state;
};

// Runs kernel(args...) on grid x block threads, in the order of `on`. A grid of no blocks is no work.
template <class T, class... P, class... A>
void launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared_bytes, const Gpu<T>& on, A... args) {
    static_assert(sizeof...(P) == sizeof...(A), "one argument for every parameter of the kernel");
    if (size_t(grid.x) * grid.y * grid.z == 0) return;
    const void* const address = reinterpret_cast<const void*>(kernel);
    check_launch(address, grid, block, on.code_of(kernel).own_shared + shared_bytes, on.shared_limit);
    cudaLaunchConfig_t config = {};
    config.gridDim = grid;
    config.blockDim = block;
    config.dynamicSmemBytes = shared_bytes;
    config.stream = on.stream;
    Timeline* const timeline = on.timeline();
    if (timeline) timeline->begin(layer_of(address), on.stream);
    const cudaError_t code = cudaLaunchKernelEx(&config, kernel, static_cast<P>(args)...);
    if (code != cudaSuccess) throw launch_error(code, address, grid, block, shared_bytes);
    if (timeline) timeline->end(on.stream);
}

// Blocks of the kernel that the GPU runs at the same time. A kernel whose blocks walk over the work takes as many: one
// more would begin when most of the others are done.
template <class T, class... P>
int resident_blocks(void (*kernel)(P...), dim3 block, size_t shared_bytes, const Gpu<T>& on) {
    on.code_of(kernel);  // may have shared_bytes now
    int of_one = 0;
    const int threads = int(block.x * block.y * block.z);
    CUDA(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&of_one, kernel, threads, shared_bytes));
    return std::max(of_one, 1) * on.sm_count;
}
