// Copies from the host that do not wait for earlier work: on a stream of their own, into a buffer of their own, from
// which the main stream copies them when it gets there.
#pragma once
#include <cuda_runtime.h>
#include <map>
#include "cuda_error.cuh"

class Uploads {
public:
    Uploads() = default;
    Uploads(const Uploads&) = delete;
    ~Uploads() {
        if (!copies) return;
        cudaStreamSynchronize(copies);
        for (auto& [device, lane] : lanes)
            cudaEventDestroy(lane.arrived), cudaEventDestroy(lane.taken), cudaFree(lane.memory);
        cudaStreamDestroy(copies);
    }

    // What `stream` does from now on finds the bytes in `device`. The host's are pinned, and left alone until then.
    void upload(void* device, const void* host, size_t bytes, cudaStream_t stream) {
        Lane& lane = ready(device, bytes);
        CUDA(cudaStreamWaitEvent(copies, lane.taken, 0));  // an event never recorded counts as complete
        CUDA(cudaMemcpyAsync(lane.memory, host, bytes, cudaMemcpyHostToDevice, copies));
        CUDA(cudaEventRecord(lane.arrived, copies));
        CUDA(cudaStreamWaitEvent(stream, lane.arrived, 0));
        CUDA(cudaMemcpyAsync(device, lane.memory, bytes, cudaMemcpyDeviceToDevice, stream));
        CUDA(cudaEventRecord(lane.taken, stream));
    }

private:
    struct Lane {
        void* memory = nullptr;
        size_t bytes = 0;
        cudaEvent_t arrived = nullptr, taken = nullptr;
    };
    cudaStream_t copies = nullptr;
    std::map<const void*, Lane> lanes;  // by destination

    Lane& ready(const void* device, size_t bytes) {
        if (!copies) CUDA(cudaStreamCreateWithFlags(&copies, cudaStreamNonBlocking));
        Lane& lane = lanes[device];
        if (!lane.taken) CUDA(cudaEventCreateWithFlags(&lane.taken, cudaEventDisableTiming));
        if (!lane.arrived) CUDA(cudaEventCreateWithFlags(&lane.arrived, cudaEventDisableTiming));
        if (lane.bytes < bytes) {
            CUDA(cudaFree(lane.memory));  // waits for all work that may use it
            lane.memory = nullptr, lane.bytes = 0;
            CUDA(cudaMalloc(&lane.memory, bytes));
            lane.bytes = bytes;
        }
        return lane;
    }
};
