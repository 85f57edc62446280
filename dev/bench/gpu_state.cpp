#include "gpu_state.h"
#include <fmt/core.h>
#include "host/run/gpu_health.h"

GpuState gpu_state(const std::string& bus_id) {
    const ManagementLibrary& l = installed_management_library();
    const std::optional<void*> gpu = handle_of(l, bus_id);
    if (!gpu) return {};
    constexpr int sm_clock = 1;  // NVML_CLOCK_SM
    unsigned mhz = 0, milliwatts = 0;
    unsigned long long reasons = 0;
    if (!l.clock || l.clock(*gpu, sm_clock, &mhz) != 0) mhz = 0;
    if (!l.power || l.power(*gpu, &milliwatts) != 0) milliwatts = 0;
    if (!l.throttled || l.throttled(*gpu, &reasons) != 0) reasons = 0;
    return {int(mhz), milliwatts * 1e-3, (reasons & (l.power_cap | l.slowdown | l.hot | l.power_brake)) != 0};
}

std::string to_text(const GpuState& state) {
    if (!state.sm_mhz) return "";
    return fmt::format("{} MHz {:.0f} W{}", state.sm_mhz, state.watts, state.held_back ? " held back" : "");
}
