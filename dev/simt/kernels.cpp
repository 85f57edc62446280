#include "kernels.h"
#include "shared_memory.h"
#include "symbols.h"

namespace simt {
namespace {

KernelCode function_of_program(const void* function) {
    const std::string mangled = Symbols::mangled_name(function);
    return {mangled, own_shared_bytes(mangled)};
}

constexpr KernelOwner program{"simt (CPU)", [] { return 90; }, function_of_program};
constinit const KernelOwner* owner = &program;  // others are named before main

}  // namespace

const KernelOwner& kernel_owner() { return *owner; }
void set_kernel_owner(const KernelOwner* other) { owner = other; }

// CUDA C++ Programming Guide, "Technical Specifications per Compute Capability".
size_t device_shared_limit() {
    switch (owner->capability()) {
        case 80:
        case 87: return 163 * 1024;
        case 86:
        case 89:
        case 120: return 99 * 1024;
        default: return shared_limit;
    }
}

}  // namespace simt
