// What is wrong with a GPU before a run begins, or will make it slow: a line each, with the remedy. Asked of NVIDIA's
// management library, where the machine has it.
#pragma once
#include <cstdint>
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
};
const ManagementLibrary& installed_management_library();

// `own_bytes`: GPU memory that this process has taken already.
std::vector<std::string> gpu_problems(const ManagementLibrary& library, const std::string& pci_bus_id,
                                      uint64_t own_bytes);
