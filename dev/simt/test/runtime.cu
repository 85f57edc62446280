// The runtime API: work happens as late as CUDA's rules allow, in the order they demand, and wrong calls are refused.
#include <omp.h>
#include <fstream>
#include <iterator>
#include <thread>
#include "kernel_test.h"

namespace {

__global__ void add_kernel(int* out, const int* inp, int x) { out[0] = inp[0] + x; }
__global__ void big_kernel(float* out) {
    __shared__ float values[1024];
    values[threadIdx.x] = out[threadIdx.x];
    __syncthreads();
    out[threadIdx.x] = values[1023 - threadIdx.x];
}
__device__ float* values_of_a_function() {
    __shared__ float values[256];
    return values;
}
__global__ void calling_kernel(float* out) {
    values_of_a_function()[threadIdx.x] = out[threadIdx.x];
    __syncthreads();
    out[threadIdx.x] = values_of_a_function()[255 - threadIdx.x];
}
__global__ void other_calling_kernel(float* out) { values_of_a_function()[threadIdx.x] = out[threadIdx.x]; }
__global__ void diverge_kernel() {
    if (threadIdx.x < 32) __syncthreads();
    else __syncthreads();
}
__global__ void thread_number_kernel(int* out) { out[blockIdx.x] = omp_get_thread_num(); }

cudaError_t add(cudaStream_t stream, int* out, const int* inp, int x) {
    const cudaLaunchConfig_t config{1, 1, 0, stream, nullptr, 0};
    return cudaLaunchKernelEx(&config, add_kernel, out, inp, x);
}

struct Streams {
    cudaStream_t a, b;
    explicit Streams(unsigned flags) {
        EXPECT_EQ(cudaStreamCreateWithFlags(&a, flags), cudaSuccess);
        EXPECT_EQ(cudaStreamCreateWithFlags(&b, flags), cudaSuccess);
    }
    ~Streams() { cudaStreamDestroy(a), cudaStreamDestroy(b); }
};
template <class T>
struct Pinned {
    T* p;
    Pinned() { EXPECT_EQ(cudaMallocHost(&p, sizeof(T)), cudaSuccess); }
    ~Pinned() { cudaFreeHost(p); }
};

}  // namespace

TEST(simt, work_waits_for_whoever_needs_it) {
    const Streams s(cudaStreamNonBlocking);
    const Device<int> x(std::vector<int>{1});
    const Pinned<int> host;
    *host.p = -1;
    ASSERT_EQ(add(s.a, x, x, 4), cudaSuccess);
    ASSERT_EQ(cudaMemcpyAsync(host.p, x, sizeof(int), cudaMemcpyDeviceToHost, s.a), cudaSuccess);
    EXPECT_EQ(*host.p, -1) << "a program that does not wait reads what was there before";
    EXPECT_EQ(cudaStreamQuery(s.a), cudaErrorNotReady);
    EXPECT_EQ(cudaStreamSynchronize(s.b), cudaSuccess);
    EXPECT_EQ(*host.p, -1) << "another stream does not help";
    EXPECT_EQ(cudaStreamSynchronize(s.a), cudaSuccess);
    EXPECT_EQ(*host.p, 5);
    EXPECT_EQ(cudaStreamQuery(s.a), cudaSuccess);
}

TEST(simt, pinned_sources_are_read_late_and_pageable_ones_at_once) {
    const Streams s(cudaStreamNonBlocking);
    const Device<int> x(2);
    const Pinned<int> pinned;
    int pageable = *pinned.p = 1;
    ASSERT_EQ(cudaMemcpyAsync(x, pinned.p, sizeof(int), cudaMemcpyHostToDevice, s.a), cudaSuccess);
    ASSERT_EQ(cudaMemcpyAsync(x + 1, &pageable, sizeof(int), cudaMemcpyHostToDevice, s.a), cudaSuccess);
    pageable = *pinned.p = 2;
    ASSERT_EQ(cudaStreamSynchronize(s.a), cudaSuccess);
    EXPECT_EQ(x.get(), (std::vector<int>{2, 1}));
    ASSERT_EQ(add(s.a, x, x, 5), cudaSuccess);
    ASSERT_EQ(cudaMemcpyAsync(&pageable, x, sizeof(int), cudaMemcpyDeviceToHost, s.a), cudaSuccess);
    EXPECT_EQ(pageable, 7) << "pageable memory is written before the call returns";
}

TEST(simt, events_and_the_legacy_stream_order_streams) {
    const Device<int> x(std::vector<int>{1}), y(std::vector<int>{0}), z(std::vector<int>{0});
    cudaEvent_t event, end;
    ASSERT_EQ(cudaEventCreate(&event), cudaSuccess);
    ASSERT_EQ(cudaEventCreate(&end), cudaSuccess);
    {
        const Streams s(cudaStreamNonBlocking);
        ASSERT_EQ(add(s.a, y, x, 1), cudaSuccess);
        ASSERT_EQ(cudaEventRecord(event, s.a), cudaSuccess);
        ASSERT_EQ(add(s.a, x, x, 100), cudaSuccess);
        EXPECT_EQ(cudaEventQuery(event), cudaErrorNotReady);
        ASSERT_EQ(cudaStreamWaitEvent(s.b, event), cudaSuccess);
        ASSERT_EQ(add(s.b, z, y, 1), cudaSuccess);
        ASSERT_EQ(cudaEventRecord(end, s.b), cudaSuccess);
        ASSERT_EQ(cudaEventSynchronize(end), cudaSuccess);
        EXPECT_EQ(cudaStreamQuery(s.a), cudaSuccess);  // does the one piece of work that came after the event
        float milliseconds = -1;
        EXPECT_EQ(cudaEventElapsedTime(&milliseconds, event, end), cudaSuccess);
        EXPECT_GE(milliseconds, 0);
    }
    EXPECT_EQ(z.get()[0], 3);
    EXPECT_EQ(x.get()[0], 101);
    const Streams s(cudaStreamDefault);
    ASSERT_EQ(add(s.a, y, x, 1), cudaSuccess);
    ASSERT_EQ(add(nullptr, z, y, 1), cudaSuccess);  // after all of the blocking streams
    ASSERT_EQ(add(s.b, x, z, 1), cudaSuccess);      // and before what follows on any
    ASSERT_EQ(cudaStreamSynchronize(s.b), cudaSuccess);
    EXPECT_EQ(x.get()[0], 104);
    cudaEventDestroy(event), cudaEventDestroy(end);
}

// As CUDA's modes have it: a save in the background may allocate while a step is being recorded.
TEST(simt, other_threads_allocate_while_one_records) {
    const Streams s(cudaStreamNonBlocking);
    const std::pair<cudaStreamCaptureMode, std::pair<cudaError_t, cudaError_t>> modes[] = {
        {cudaStreamCaptureModeGlobal, {cudaErrorStreamCaptureUnsupported, cudaErrorStreamCaptureUnsupported}},
        {cudaStreamCaptureModeThreadLocal, {cudaErrorStreamCaptureUnsupported, cudaSuccess}},
        {cudaStreamCaptureModeRelaxed, {cudaSuccess, cudaSuccess}}};
    for (const auto& [mode, expected] : modes) {
        ASSERT_EQ(cudaStreamBeginCapture(s.a, mode), cudaSuccess);
        const auto allocate = [] {
            void* p = nullptr;
            const cudaError_t error = cudaMallocHost(&p, 4);
            cudaFreeHost(p);
            return error;
        };
        EXPECT_EQ(allocate(), expected.first) << mode;
        cudaError_t other = cudaSuccess;
        std::thread([&] { other = allocate(); }).join();
        EXPECT_EQ(other, expected.second) << mode;
        cudaGraph_t graph = nullptr;
        ASSERT_EQ(cudaStreamEndCapture(s.a, &graph), cudaSuccess);
        cudaGraphDestroy(graph);
        cudaGetLastError();
    }
}

// A stack is two mappings, of which a process may have 65,530; every thread of a GPU's block has one.
TEST(simt, threads_of_the_host_leave_no_stacks) {
    if (simt::address_sanitizer || simt::thread_sanitizer) GTEST_SKIP() << "they know each stack";
    const auto mappings = [] {
        std::ifstream maps("/proc/self/maps");
        return std::count(std::istreambuf_iterator<char>(maps), {}, '\n');
    };
    const auto launch = [] {
        omp_set_num_threads(1);
        const Device<float> x(std::vector<float>(1024));
        run(big_kernel, 1, 1024, 0, x);
    };
    std::thread(launch).join();
    const auto before = mappings();
    for (int i = 0; i < 4; i++) std::thread(launch).join();
    EXPECT_LT(mappings(), before + 1000);
}

TEST(simt, graphs_record_and_replay_in_order) {
    const Streams s(cudaStreamNonBlocking);
    const Device<int> x(std::vector<int>{1});
    cudaEvent_t fork, join;
    cudaEventCreate(&fork), cudaEventCreate(&join);
    ASSERT_EQ(cudaStreamBeginCapture(s.a, cudaStreamCaptureModeGlobal), cudaSuccess);
    ASSERT_EQ(add(s.a, x, x, 1), cudaSuccess);
    ASSERT_EQ(cudaEventRecord(fork, s.a), cudaSuccess);
    ASSERT_EQ(cudaStreamWaitEvent(s.b, fork), cudaSuccess);
    ASSERT_EQ(add(s.b, x, x, 10), cudaSuccess);
    EXPECT_EQ(cudaStreamSynchronize(s.a), cudaErrorStreamCaptureUnsupported);
    int* p;
    EXPECT_EQ(cudaMalloc(&p, 4), cudaErrorStreamCaptureUnsupported);
    ASSERT_EQ(cudaEventRecord(join, s.b), cudaSuccess);
    ASSERT_EQ(cudaStreamWaitEvent(s.a, join), cudaSuccess);
    ASSERT_EQ(cudaMemsetAsync(x, 0, 1, s.a), cudaSuccess);  // the lowest byte
    cudaGraph_t graph;
    ASSERT_EQ(cudaStreamEndCapture(s.a, &graph), cudaSuccess);
    size_t nodes = 0;
    EXPECT_EQ(cudaGraphGetNodes(graph, nullptr, &nodes), cudaSuccess);
    EXPECT_EQ(nodes, 3u);
    EXPECT_EQ(x.get()[0], 1) << "recording does nothing";
    cudaGraphExec_t exec;
    ASSERT_EQ(cudaGraphInstantiate(&exec, graph), cudaSuccess);
    EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
    for (int i = 0; i < 30; i++) ASSERT_EQ(add(s.a, x, x, 256), cudaSuccess);
    ASSERT_EQ(cudaGraphLaunch(exec, s.a), cudaSuccess);
    ASSERT_EQ(cudaGraphLaunch(exec, s.a), cudaSuccess);
    ASSERT_EQ(cudaStreamSynchronize(s.a), cudaSuccess);
    EXPECT_EQ(x.get()[0], 30 * 256);
    cudaGraphExecDestroy(exec);

    ASSERT_EQ(cudaStreamBeginCapture(s.a, cudaStreamCaptureModeGlobal), cudaSuccess);
    ASSERT_EQ(cudaEventRecord(fork, s.a), cudaSuccess);
    ASSERT_EQ(cudaStreamWaitEvent(s.b, fork), cudaSuccess);
    ASSERT_EQ(add(s.b, x, x, 10), cudaSuccess);
    EXPECT_EQ(cudaStreamEndCapture(s.a, &graph), cudaErrorStreamCaptureUnjoined);
    cudaEventDestroy(fork), cudaEventDestroy(join);
    cudaGetLastError();
}

TEST(simt, launches_check_their_limits) {
    const Device<float> x(1024);
    EXPECT_EQ(start(big_kernel, 0, 32, 0, x), cudaErrorInvalidConfiguration);
    EXPECT_EQ(start(big_kernel, 1, 1025, 0, x), cudaErrorInvalidConfiguration);
    EXPECT_EQ(start(big_kernel, dim3(1, 65536), 32, 0, x), cudaErrorInvalidConfiguration);
    EXPECT_EQ(start(big_kernel, 1, dim3(1, 1, 65), 0, x), cudaErrorInvalidConfiguration);
    EXPECT_EQ(start(big_kernel, 1, 1024, 45 * 1024, x), cudaErrorInvalidValue) << "48 KiB, of which 4 are static";
    EXPECT_EQ(cudaFuncSetAttribute(big_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, 224 * 1024),
              cudaErrorInvalidValue);
    EXPECT_EQ(cudaFuncSetAttribute(big_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, 223 * 1024), cudaSuccess);
    run(big_kernel, 1, 1024, 223 * 1024, x);
    cudaFuncAttributes attributes;
    EXPECT_EQ(cudaFuncGetAttributes(&attributes, big_kernel), cudaSuccess);
    EXPECT_EQ(attributes.sharedSizeBytes, 4096u);
    int blocks = 0;
    EXPECT_EQ(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, big_kernel, 256, 0), cudaSuccess);
    EXPECT_EQ(blocks, 8);
    EXPECT_EQ(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, big_kernel, 256, 100 * 1024), cudaSuccess);
    EXPECT_EQ(blocks, 2);
    EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidValue);
    EXPECT_EQ(cudaGetLastError(), cudaSuccess);
    EXPECT_STREQ(cudaGetErrorName(cudaErrorMemoryAllocation), "cudaErrorMemoryAllocation");
}

// Only a block that has run shows what the functions it called declare: then it is refused, and from then on before.
TEST(simt, shared_memory_of_functions_counts) {
    const Device<float> x(std::vector<float>(1024));
    const auto most = [&](int bytes) {
        return cudaFuncSetAttribute(calling_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
    };
    run(calling_kernel, 1, 256, 0, x);
    run(calling_kernel, 1, 256, 47 * 1024, x);
    EXPECT_EQ(start(calling_kernel, 1, 256, 47 * 1024 + 1, x), cudaErrorInvalidValue);
    cudaFuncAttributes attributes;
    EXPECT_EQ(cudaFuncGetAttributes(&attributes, calling_kernel), cudaSuccess);
    EXPECT_EQ(attributes.sharedSizeBytes, 1024u);
    EXPECT_EQ(most(227 * 1024), cudaErrorInvalidValue);
    EXPECT_EQ(most(226 * 1024), cudaSuccess);
    run(calling_kernel, 1, 256, 226 * 1024, x);
    cudaGetLastError();
    expect_says(
        failure_of(other_calling_kernel, 1, 256, 48 * 1024, x),
        {"other_calling_kernel", "49152 bytes of dynamic shared memory beside 1024 static ones, unless it asks first"});
    EXPECT_EQ(start(other_calling_kernel, 1, 256, 48 * 1024, x), cudaErrorInvalidValue);
    cudaGetLastError();
}

TEST(simt, a_failed_kernel_spoils_everything_after_it) {
    simt::take_report();
    ASSERT_EQ(start(diverge_kernel, 1, 64, 0), cudaSuccess);
    EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorLaunchFailure);
    int* p;
    EXPECT_EQ(cudaMalloc(&p, 4), cudaErrorLaunchFailure);
    EXPECT_EQ(cudaGetLastError(), cudaErrorLaunchFailure);
    EXPECT_EQ(cudaGetLastError(), cudaErrorLaunchFailure);
    EXPECT_EQ(cudaDeviceReset(), cudaSuccess);
    EXPECT_EQ(cudaGetLastError(), cudaSuccess);
    expect_says(simt::take_report(), {"diverge_kernel, block (0,0,0)"});
}

TEST(simt, memory_is_checked) {
    float* p;
    EXPECT_EQ(cudaMalloc(&p, size_t(1) << 60), cudaErrorMemoryAllocation);
    const Device<float> x(100);
    for (float f : x.get()) EXPECT_TRUE(__float_as_uint(f) == ~0u) << "fresh memory is NaN";
    EXPECT_EQ(reinterpret_cast<uintptr_t>(static_cast<float*>(x)) % 256, 0u);
    std::vector<float> host(101);
    EXPECT_EQ(cudaMemcpy(x, host.data(), 101 * sizeof(float), cudaMemcpyHostToDevice), cudaErrorInvalidValue);
    EXPECT_EQ(cudaMemcpy(host.data(), x + 1, 100 * sizeof(float), cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
    EXPECT_EQ(cudaMemcpy(host.data(), host.data() + 50, 8, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
    EXPECT_EQ(cudaMemset(x + 99, 0, 8), cudaErrorInvalidValue);
    EXPECT_EQ(cudaFree(host.data()), cudaErrorInvalidValue);
    cudaGetLastError();
    simt::take_report();
}

TEST(simt, blocks_run_on_all_cores) {
    if (simt::thread_sanitizer || omp_get_max_threads() == 1) GTEST_SKIP() << "one OS thread";
    const Device<int> out(5000);
    run(thread_number_kernel, 5000, 1, 0, out);
    const std::vector<int> numbers = out.get();
    EXPECT_NE(*std::max_element(numbers.begin(), numbers.end()), 0);
}

// What would make a kernel run otherwise than it was meant.
TEST(simt, launch_attributes_that_are_not_known_are_refused) {
    const Device<int> x(std::vector<int>{1});
    const auto launched_with = [&](int id, unsigned blocks) {
        cudaLaunchAttribute attribute{};
        attribute.id = cudaLaunchAttributeID(id);
        attribute.val.clusterDim = {blocks, 1, 1};
        const cudaLaunchConfig_t config{2, 1, 0, nullptr, &attribute, 1};
        return cudaLaunchKernelEx(&config, add_kernel, static_cast<int*>(x), static_cast<const int*>(x), 1);
    };
    simt::take_report();
    EXPECT_EQ(launched_with(cudaLaunchAttributeIgnore, 0), cudaSuccess);
    EXPECT_EQ(launched_with(cudaLaunchAttributeProgrammaticStreamSerialization, 1), cudaSuccess);
    EXPECT_EQ(launched_with(cudaLaunchAttributeClusterDimension, 1), cudaSuccess);
    EXPECT_EQ(simt::take_report(), "");
    EXPECT_EQ(launched_with(cudaLaunchAttributeClusterDimension, 2), cudaErrorNotSupported);
    expect_says(simt::take_report(), {"add_kernel: launched with clusters of several blocks"});
    EXPECT_EQ(launched_with(2, 1), cudaErrorNotSupported);
    expect_says(simt::take_report(),
                {"add_kernel: launched with launch attribute 2, which this runtime does not know"});
    EXPECT_EQ(cudaGetLastError(), cudaErrorNotSupported);
    EXPECT_EQ(cudaFuncSetAttribute(add_kernel, cudaFuncAttribute(99), 1), cudaErrorNotSupported);
    cudaGetLastError();
}
