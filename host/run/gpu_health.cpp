#include "gpu_health.h"
#include <fmt/core.h>
#include "host/base/library.h"
#include "host/base/progress.h"

// Any of them may be missing in an old one.
template <class Find>
static const char* fill(ManagementLibrary& library, Find find) {
    FunctionFinder get(find);
    get(library.start, "nvmlInit_v2");
    get(library.device, "nvmlDeviceGetHandleByPciBusId_v2");
    get(library.ecc_mode, "nvmlDeviceGetEccMode");
    get(library.ecc_errors, "nvmlDeviceGetTotalEccErrors");
    get(library.throttled, "nvmlDeviceGetCurrentClocksThrottleReasons");
    get(library.remapped, "nvmlDeviceGetRemappedRows");
    get(library.memory, "nvmlDeviceGetMemoryInfo");
    get(library.clock, "nvmlDeviceGetClockInfo");
    get(library.power, "nvmlDeviceGetPowerUsage");
    return nullptr;
}

const ManagementLibrary& installed_management_library() {
    static const LibraryFound<ManagementLibrary> found = load_library<ManagementLibrary>("libnvidia-ml.so.1");
    static const ManagementLibrary none;
    return found.table ? *found.table : none;
}

std::optional<void*> handle_of(const ManagementLibrary& library, const std::string& pci_bus_id) {
    void* gpu = nullptr;
    if (!library.start || library.start() || !library.device || library.device(pci_bus_id.c_str(), &gpu)) return {};
    return gpu;
}

std::vector<std::string> gpu_problems(const ManagementLibrary& l, const std::string& pci_bus_id, uint64_t own_bytes) {
    std::vector<std::string> lines;
    const std::optional<void*> found = handle_of(l, pci_bus_id);
    if (!found) return lines;
    void* const gpu = *found;
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
    if (l.throttled && l.throttled(gpu, &reasons) == 0 && reasons & (l.hot | l.power_brake | l.slowdown))
        lines.push_back(std::string("GPU: runs slower than it could, as ") +
                        (reasons & l.hot           ? "it is too hot; look after its cooling"
                         : reasons & l.power_brake ? "its power supply asks it to; look after that"
                                                   : "the hardware asks it to; nvidia-smi -q -d PERFORMANCE says why"));
    unsigned long long bytes[3] = {};  // total, free, used
    constexpr uint64_t drivers_own = uint64_t(1) << 30;
    if (l.memory && l.memory(gpu, bytes) == 0 && bytes[2] > own_bytes + drivers_own)
        lines.push_back(fmt::format("GPU: {}B of its memory are taken by others; nvidia-smi shows who shares it",
                                    short_count(double(bytes[2] - own_bytes))));
    return lines;
}
