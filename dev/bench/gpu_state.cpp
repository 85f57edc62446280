#include "gpu_state.h"
#include <dlfcn.h>
#include <fmt/core.h>

namespace {

// The few functions of nvml.h that are asked. The library comes with the driver, so it is looked for at run time.
struct Nvml {
    using Device = struct nvmlDevice_st*;
    int (*init)() = nullptr;
    int (*find)(const char* bus_id, Device*) = nullptr;
    int (*clock)(Device, int kind, unsigned* mhz) = nullptr;
    int (*power)(Device, unsigned* milliwatts) = nullptr;
    int (*reasons)(Device, unsigned long long*) = nullptr;
    bool works = false;

    Nvml() {
        void* const library = dlopen("libnvidia-ml.so.1", RTLD_NOW);
        if (!library) return;
        const auto load = [&](auto& function, const char* name) {
            function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name));
            return function != nullptr;
        };
        works = load(init, "nvmlInit_v2") && load(find, "nvmlDeviceGetHandleByPciBusId_v2") &&
                load(clock, "nvmlDeviceGetClockInfo") && load(power, "nvmlDeviceGetPowerUsage") &&
                load(reasons, "nvmlDeviceGetCurrentClocksThrottleReasons") && init() == 0;
    }
};

}  // namespace

GpuState gpu_state(const std::string& bus_id) {
    static const Nvml nvml;
    constexpr int sm_clock = 1;  // NVML_CLOCK_SM
    constexpr unsigned long long power_cap = 0x4, hardware = 0x8, heat = 0x20 | 0x40, power_brake = 0x80;
    Nvml::Device device;
    if (!nvml.works || nvml.find(bus_id.c_str(), &device) != 0) return {};
    unsigned mhz = 0, milliwatts = 0;
    unsigned long long reasons = 0;
    if (nvml.clock(device, sm_clock, &mhz) != 0) mhz = 0;
    if (nvml.power(device, &milliwatts) != 0) milliwatts = 0;
    if (nvml.reasons(device, &reasons) != 0) reasons = 0;
    return {int(mhz), milliwatts * 1e-3, (reasons & (power_cap | hardware | heat | power_brake)) != 0};
}

std::string to_text(const GpuState& state) {
    if (!state.sm_mhz) return "";
    return fmt::format("{} MHz {:.0f} W{}", state.sm_mhz, state.watts, state.held_back ? " held back" : "");
}
