// The program's kernels, as the runtime needs to know them, and the device they are for, whoever owns them: they are
// functions of the program itself, or PTX that its objects carry (dev/ptx).
#pragma once
#include <cstddef>
#include <string>

namespace simt {

constexpr int multiprocessors = 4;  // of the device

struct KernelCode {
    std::string mangled;              // empty: nothing is known of it
    size_t static_shared_bytes = 0;   // that it declares itself
    int max_threads = 1024;           // in a block
    unsigned cluster[3] = {0, 0, 0};  // of how many blocks it was compiled for; 0: of what the launch says
};
struct KernelOwner {
    const char* device;                           // the device's name
    int (*capability)();                          // and compute capability, times ten
    KernelCode (*code_of)(const void* function);  // once for each kernel; may throw
    bool has_clusters = false;                    // its kernels know clusters of several blocks
};
const KernelOwner& kernel_owner();          // the program, unless another was named
void set_kernel_owner(const KernelOwner*);  // which stays where it is; before any kernel is asked for
size_t device_shared_limit();               // bytes that a block may have on a device of that capability

}  // namespace simt
