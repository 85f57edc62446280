// Where the time of a GPU goes, seen from inside the program: ranges that Nsight Systems shows, and a timeline of every
// kernel that needs no profiler.
#pragma once
#include <cuda_runtime.h>
#include <algorithm>
#include <cstdio>
#include <map>
#include <string>
#include <vector>
#ifdef __CUDACC__
#include <nvtx3/nvToolsExt.h>
#endif
#include "cuda_error.cuh"

// Names what the CPU launches while it lives. Costs next to nothing when no profiler is attached.
class NvtxRange {
public:
    explicit NvtxRange([[maybe_unused]] const char* name, [[maybe_unused]] long index = -1) {
#ifdef __CUDACC__
        char text[64];
        if (index >= 0) std::snprintf(text, sizeof text, "%s %ld", name, index);
        nvtxRangePushA(index >= 0 ? text : name);
#endif
    }
    ~NvtxRange() {
#ifdef __CUDACC__
        nvtxRangePop();
#endif
    }
    NvtxRange(const NvtxRange&) = delete;
};

// Times every kernel launched while a Gpu carries it (Gpu::watch): an event before, an event after. That keeps
// neighbouring kernels apart, so the times are those of kernels alone and their sum is without the gaps between them.
// What is captured into a graph is not timed.
class Timeline {
public:
    struct Total {
        std::string name;
        int count;
        double milliseconds;
    };

    void begin(const std::string& name, cudaStream_t stream) {
        cudaStreamCaptureStatus status;
        CUDA(cudaStreamIsCapturing(stream, &status));
        timing = status == cudaStreamCaptureStatusNone;
        if (timing) marks.push_back({name, event(stream), nullptr});
    }
    void end(cudaStream_t stream) {
        if (timing) marks.back().end = event(stream);
    }

    // Of every name, the longest first; waits for the GPU.
    std::vector<Total> totals() const {
        std::map<std::string, Total> by_name;
        for (const Mark& m : marks) {
            float ms = 0;
            CUDA(cudaEventSynchronize(m.end));
            CUDA(cudaEventElapsedTime(&ms, m.begin, m.end));
            Total& t = by_name.try_emplace(m.name, Total{m.name, 0, 0}).first->second;
            t.count++, t.milliseconds += ms;
        }
        std::vector<Total> all;
        for (const auto& [name, total] : by_name) all.push_back(total);
        std::ranges::stable_sort(all, std::greater<>(), &Total::milliseconds);
        return all;
    }

    Timeline() = default;
    Timeline(const Timeline&) = delete;
    ~Timeline() {
        for (cudaEvent_t e : events) cudaEventDestroy(e);
    }

private:
    struct Mark {
        std::string name;
        cudaEvent_t begin, end;
    };
    cudaEvent_t event(cudaStream_t stream) {
        cudaEvent_t e;
        CUDA(cudaEventCreate(&e));
        events.push_back(e);
        CUDA(cudaEventRecord(e, stream));
        return e;
    }
    bool timing = false;
    std::vector<Mark> marks;
    std::vector<cudaEvent_t> events;
};
