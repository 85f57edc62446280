// The program's kernels and device variables: what nvcc's objects register before main.
#pragma once
#include <string>
#include "module.h"

namespace ptx {

struct Entry {
    const Kernel* kernel;
    std::string name;  // mangled
};
// The entry behind the address by which the host knows a kernel; null: none has it. A module is loaded when one of its
// entries is first asked for, and lives as long as the program. Throws Error{device} where there is no PTX to run.
const Entry* entry_at(const void* function);

// The target that PTX is taken for: PTX_TARGET's, such as "90a", or else the highest that any object has. Empty: there
// are no kernels. Throws Error{device} when first asked if some object with kernels has no PTX for it.
const std::string& target();

}  // namespace ptx
