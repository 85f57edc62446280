// What a GPU has free for a model (host/run/available_memory.h).
#pragma once
#include <algorithm>
#include "host/run/available_memory.h"
#include "kernels/tools/device.cuh"
#include "kernels/tools/gpu.cuh"

template <class T>
Available available_memory(const Gpu<T>&, const World& world) {
    size_t free_bytes = 0, total = 0;
    int gpus = 1;
    CUDA(cudaMemGetInfo(&free_bytes, &total));
    CUDA(cudaGetDeviceCount(&gpus));
    return {free_bytes, (world.neighbours() + gpus - 1) / std::max(gpus, 1), false};
}
