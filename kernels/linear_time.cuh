// Measures which of several ways of doing a product is the fastest, once per shape. Only ways that give the same bits
// compete.
#pragma once
#include <memory>
#include "kernels/tools/common.cuh"

// Small matmuls come from sampling, with another length every time. While a graph is recorded or a timeline watches,
// nothing else may run.
template <class T>
bool linear_worth_timing(int M, int N, int K, const Gpu<T>& on) {
    if (double(M) * N * K < 0x1p31 || on.timeline()) return false;
    cudaStreamCaptureStatus recording;
    CUDA(cudaStreamIsCapturing(on.stream, &recording));
    return recording == cudaStreamCaptureStatusNone;
}

// After one run to warm up.
template <class T, class Work>
float seconds_of(Work work, const Gpu<T>& on) {
    constexpr int repeats = 5;
    const auto event = [] {
        cudaEvent_t e;
        CUDA(cudaEventCreate(&e));
        return std::shared_ptr<std::remove_pointer_t<cudaEvent_t>>(e, [](cudaEvent_t p) { cudaEventDestroy(p); });
    };
    const auto begin = event(), end = event();
    work();
    CUDA(cudaEventRecord(begin.get(), on.stream));
    for (int r = 0; r < repeats; r++) work();
    CUDA(cudaEventRecord(end.get(), on.stream));
    CUDA(cudaEventSynchronize(end.get()));
    float milliseconds = 0;
    CUDA(cudaEventElapsedTime(&milliseconds, begin.get(), end.get()));
    return milliseconds * 1e-3f / repeats;
}

// Numbers from -1 to 1 that look like chance.
template <int block, class T>
__global__ void linear_noise_kernel(T* x, size_t n, uint32_t seed) {
    for (size_t i = size_t(blockIdx.x) * block + threadIdx.x; i < n; i += size_t(gridDim.x) * block) {
        uint32_t r = (uint32_t(i) ^ seed) * 0x9e3779b9u;
        r = (r ^ r >> 15) * 0x85ebca6bu;
        x[i] = T(float(int32_t(r ^ r >> 13)) * 0x1p-31f);
    }
}

template <int block>
__global__ void linear_differs_kernel(int* differs, const uint32_t* x, const uint32_t* y, size_t words) {
    for (size_t i = size_t(blockIdx.x) * block + threadIdx.x; i < words; i += size_t(gridDim.x) * block)
        if (x[i] != y[i]) *differs = 1;  // whoever is last: all write the same
}

// Two outputs of c elements, and noise for operands of a and b, while it lives.
template <class T, class Out>
class LinearTrial {
    static constexpr int block = 256;
    const size_t n;
    const Gpu<T>& on;
    std::shared_ptr<char> memory;
    int* differs = nullptr;

public:
    Out *want = nullptr, *got = nullptr;
    T *a = nullptr, *b = nullptr;

    LinearTrial(size_t c, size_t a_size, size_t b_size, const Gpu<T>& on) : n(c), on(on) {
        size_t bytes = 0;
        const auto take = [&](size_t size) { return std::exchange(bytes, bytes + round_up(size, 256)); };
        const size_t at_want = take(c * sizeof(Out)), at_got = take(c * sizeof(Out)), at_a = take(a_size * sizeof(T)),
                     at_b = take(b_size * sizeof(T)), at_differs = take(sizeof(int));
        char* p = nullptr;
        if (cudaMalloc(&p, bytes) != cudaSuccess) {
            cudaGetLastError();  // it is not remembered against a later call
            return;
        }
        memory.reset(p, [](char* q) { cudaFree(q); });
        want = reinterpret_cast<Out*>(p + at_want), got = reinterpret_cast<Out*>(p + at_got);
        a = reinterpret_cast<T*>(p + at_a), b = reinterpret_cast<T*>(p + at_b);
        differs = reinterpret_cast<int*>(p + at_differs);
        launch(linear_noise_kernel<block, T>, 4 * on.sm_count, block, 0, on, a, a_size, 1u);
        launch(linear_noise_kernel<block, T>, 4 * on.sm_count, block, 0, on, b, b_size, 2u);
    }
    bool fits() const { return memory != nullptr; }
    void clear(Out* out) const { on.zero(out, n); }
    bool same() const {
        on.zero(differs, 1);
        launch(linear_differs_kernel<block>, 4 * on.sm_count, block, 0, on, differs,
               reinterpret_cast<const uint32_t*>(want), reinterpret_cast<const uint32_t*>(got), n * sizeof(Out) / 4);
        int other = 0;
        on.download(&other, differs, 1);
        return !other;
    }
};
