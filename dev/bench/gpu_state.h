// What a GPU is doing at this moment, by its driver's own library (NVML): a figure of speed means little without the
// clock it was reached at.
#pragma once
#include <string>

struct GpuState {
    int sm_mhz = 0;  // 0: the driver does not say
    double watts = 0;
    bool held_back = false;  // the clock is lower than it could be, for power or heat
};

// bus_id: of the GPU, as cudaDeviceGetPCIBusId writes it.
GpuState gpu_state(const std::string& bus_id);

// "1755 MHz 612 W", with "held back" after it; "" where nothing is known.
std::string to_text(const GpuState& state);
