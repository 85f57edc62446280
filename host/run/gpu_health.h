// What is wrong with a GPU before a run begins, or will make it slow: a line each, with the remedy. Asked of NVIDIA's
// management library, where the machine has it.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

// The library's functions that are needed; each null where it is not there. Handles are pointers, results 0 if all is
// well.
struct ManagementLibrary {
    int (*start)() = nullptr;
    int (*device)(const char* pci_bus_id, void** handle) = nullptr;
    int (*ecc_mode)(void*, int* now, int* pending) = nullptr;
    int (*ecc_errors)(void*, int uncorrected, int aggregate, unsigned long long* count) = nullptr;
    int (*throttled)(void*, unsigned long long* reasons) = nullptr;
    int (*remapped)(void*, unsigned* correctable, unsigned* uncorrectable, unsigned* pending,
                    unsigned* failed) = nullptr;
    int (*memory)(void*, unsigned long long* total_free_used) = nullptr;
    int (*clock)(void*, int kind, unsigned* mhz) = nullptr;
    int (*power)(void*, unsigned* milliwatts) = nullptr;

    // Reasons of `throttled`: a limit that is set, and faults of the machine.
    static constexpr unsigned long long power_cap = 0x4, slowdown = 0x8, hot = 0x20 | 0x40, power_brake = 0x80;
};
const ManagementLibrary& installed_management_library();

// What the library knows a GPU as, none where it does not.
std::optional<void*> handle_of(const ManagementLibrary& library, const std::string& pci_bus_id);

// `own_bytes`: GPU memory that this process has taken already.
std::vector<std::string> gpu_problems(const ManagementLibrary& library, const std::string& pci_bus_id,
                                      uint64_t own_bytes);
