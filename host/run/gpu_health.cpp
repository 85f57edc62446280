#include "gpu_health.h"
#include <dlfcn.h>
#include <fmt/core.h>
#include "host/base/progress.h"

namespace {

template <class F>
void find(F& function, void* library, const char* name) {
    function = reinterpret_cast<F>(dlsym(library, name));
}

// nvmlClocksThrottleReasons that are faults of the machine, or of what it is set to.
constexpr unsigned long long hot = 0x20 | 0x40, power_brake = 0x80, slowdown = 0x8;

}  // namespace

const ManagementLibrary& installed_management_library() {
    static const ManagementLibrary library = [] {
        ManagementLibrary l;
        void* const file = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
        if (!file) return l;
        find(l.start, file, "nvmlInit_v2");
        find(l.device, file, "nvmlDeviceGetHandleByPciBusId_v2");
        find(l.ecc_mode, file, "nvmlDeviceGetEccMode");
        find(l.ecc_errors, file, "nvmlDeviceGetTotalEccErrors");
        find(l.throttled, file, "nvmlDeviceGetCurrentClocksThrottleReasons");
        find(l.remapped, file, "nvmlDeviceGetRemappedRows");
        find(l.memory, file, "nvmlDeviceGetMemoryInfo");
        return l;
    }();
    return library;
}

std::vector<std::string> gpu_problems(const ManagementLibrary& l, const std::string& pci_bus_id, uint64_t own_bytes) {
    std::vector<std::string> lines;
    void* gpu = nullptr;
    if (!l.start || l.start() || !l.device || l.device(pci_bus_id.c_str(), &gpu)) return lines;
    int ecc = 1, pending = 1;
    if (l.ecc_mode && l.ecc_mode(gpu, &ecc, &pending) == 0 && ecc == 0)
        lines.push_back(
            "GPU: ECC is off, so errors of its memory go unseen; nvidia-smi -e 1 turns it on after a reboot, "
            "--verify-every N looks for them");
    unsigned long long errors = 0, reasons = 0;
    if (l.ecc_errors && l.ecc_errors(gpu, 1, 0, &errors) == 0 && errors > 0)
        lines.push_back(
            fmt::format("GPU: {} errors of its memory that ECC could not mend since the driver started; "
                        "restart the GPU (nvidia-smi -r), and have it checked if they come again",
                        errors));
    unsigned mended = 0, unmended = 0, waiting = 0, failed = 0;
    if (l.remapped && l.remapped(gpu, &mended, &unmended, &waiting, &failed) == 0 && (waiting || failed))
        lines.push_back(failed ? "GPU: a bad row of its memory could not be replaced; have the GPU exchanged"
                               : "GPU: a bad row of its memory is to be replaced; restart the GPU (nvidia-smi -r)");
    if (l.throttled && l.throttled(gpu, &reasons) == 0 && reasons & (hot | power_brake | slowdown))
        lines.push_back(std::string("GPU: runs slower than it could, as ") +
                        (reasons & hot           ? "it is too hot; look after its cooling"
                         : reasons & power_brake ? "its power supply asks it to; look after that"
                                                 : "the hardware asks it to; nvidia-smi -q -d PERFORMANCE says why"));
    unsigned long long bytes[3] = {};  // total, free, used
    constexpr uint64_t drivers_own = uint64_t(1) << 30;
    if (l.memory && l.memory(gpu, bytes) == 0 && bytes[2] > own_bytes + drivers_own)
        lines.push_back(fmt::format("GPU: {}B of its memory are taken by others; nvidia-smi shows who shares it",
                                    short_count(double(bytes[2] - own_bytes))));
    return lines;
}
