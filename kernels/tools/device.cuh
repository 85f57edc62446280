// What the device is called, and whether it is a GPU at all.
#pragma once
#include <string>
#include "cuda_error.cuh"

// Throws without a device. Of CUDA's description the name alone is where it is in every version.
inline std::string device_name() {
    cudaDeviceProp device = {};
    CUDA(cudaGetDeviceProperties(&device, 0));
    return device.name;
}

// "simt (CPU)" and "ptx (CPU)": the kernels run on the CPU (dev/simt, dev/ptx).
inline bool is_simulated(const std::string& device) { return device.ends_with("(CPU)"); }
inline bool on_simulated_device() {
    int count = 0;
    return cudaGetDeviceCount(&count) == cudaSuccess && count > 0 && is_simulated(device_name());
}
