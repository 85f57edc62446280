// Times work on a GPU by events, as a step would run it: its operands come from memory, not from the L2 cache.
#pragma once
#include <functional>
#include <optional>
#include <vector>
#include "gpu_state.h"
#include "kernels/tools/common.cuh"

// Reads, because clearing would leave dirty lines that the timed work would have to write back.
template <class U>
__global__ void bench_read_kernel(U* sum, const U* from, size_t n) {
    U x = 0;
    for (size_t i = size_t(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += size_t(gridDim.x) * blockDim.x)
        x += from[i];
    if (x == U(1234.5)) *sum = x;  // never, but the compiler cannot know
}

inline GpuState gpu_state_now() {
    char bus_id[32];
    CUDA(cudaDeviceGetPCIBusId(bus_id, sizeof bus_id, 0));
    return gpu_state(bus_id);
}

class GpuClock {
public:
    explicit GpuClock(const Gpu<bf16>& on) : on(on) {
        CUDA(cudaDeviceGetAttribute(&cache_bytes, cudaDevAttrL2CacheSize, 0));
        cache = on.allocate<float>(cold_floats());
        for (cudaEvent_t& e : events) CUDA(cudaEventCreate(&e));
    }
    ~GpuClock() {
        for (cudaEvent_t e : events) cudaEventDestroy(e);
    }
    GpuClock(const GpuClock&) = delete;

    enum class Cache { cold, warm };

    struct Reading {
        double seconds;
        GpuState gpu;
    };

    // The median of several runs: as many as fit in `budget` seconds, 5 to 50. What takes longer than all of that is
    // timed once. A run before them is not timed: it loads libraries and code, chooses algorithms, and may allocate.
    template <class Work>
    Reading median(Work work, Cache state = Cache::cold, double budget = 0.15) const {
        work();
        on.synchronize();
        const double once = timed(work, state);
        if (once > budget) return {once, state_during(work, once)};
        const int count = int(std::clamp(budget / std::max(once, 1e-6), 5.0, 50.0));
        std::vector<double> times;
        for (int i = 0; i < count; i++) times.push_back(timed(work, state));
        const double middle = middle_of(times);
        return {middle, state_during(work, middle)};
    }

    // Each one's median, in turn: so a GPU that its power limits is as slow for all of them.
    std::vector<double> medians(const std::vector<std::function<void()>>& works, double budget = 0.3) const {
        double all = 0;
        for (const auto& work : works) work(), all += timed(work, Cache::cold);
        std::vector<std::vector<double>> times(works.size());
        for (int i = 0, count = int(std::clamp(budget / std::max(all, 1e-6), 3.0, 50.0)); i < count; i++)
            for (size_t w = 0; w < works.size(); w++) times[w].push_back(timed(works[w], Cache::cold));
        std::vector<double> middle;
        for (std::vector<double>& of_work : times) middle.push_back(middle_of(of_work));
        return middle;
    }

private:
    static double middle_of(std::vector<double>& times) {
        const auto middle = times.begin() + std::ptrdiff_t(times.size() / 2);
        std::ranges::nth_element(times, middle);
        return *middle;
    }

    size_t cold_floats() const { return size_t(2) * cache_bytes / sizeof(float); }

    // Asked while the work goes on, long enough for the answer to be about it.
    template <class Work>
    GpuState state_during(Work& work, double seconds) const {
        const int count = int(std::clamp(0.02 / std::max(seconds, 1e-6), 1.0, 200.0));
        for (int i = 0; i < count; i++) work();
        const GpuState state = gpu_state_now();
        on.synchronize();
        return state;
    }

    template <class Work>
    double timed(const Work& work, Cache state) const {
        if (state == Cache::cold)
            launch(bench_read_kernel<float>, 8 * on.sm_count, 256, 0, on, cache, static_cast<const float*>(cache),
                   cold_floats());
        CUDA(cudaEventRecord(events[0], on.stream));
        work();
        CUDA(cudaEventRecord(events[1], on.stream));
        CUDA(cudaEventSynchronize(events[1]));
        float ms = 0;
        CUDA(cudaEventElapsedTime(&ms, events[0], events[1]));
        return ms * 1e-3;
    }

    const Gpu<bf16> on;
    int cache_bytes = 0;
    float* cache;
    cudaEvent_t events[2] = {};
};
