// Where the shared memory of the calling OS thread's block is.
#pragma once
#include <cstddef>
#include <cstdint>

namespace ptx {

// Addresses of shared memory, as 32 bits: dynamic shared memory begins at 0, what kernels declare with a size at this.
constexpr uint32_t static_shared_begin = 0x80000;

struct SharedWindow {
    char *dynamic, *fixed;
    size_t dynamic_bytes, fixed_bytes;
};
inline SharedWindow& shared_window() {
    static thread_local SharedWindow window{};
    return window;
}

}  // namespace ptx
