// Device buffers: what is around them may not be touched, what is fresh is NaN, what is freed is gone.
#pragma once
#include <cstddef>
#include <string>

namespace simt {

// First damaged byte around any buffer, or after it was freed; empty: none. Run after every kernel.
std::string damaged_device_memory();
// "8 bytes past the end of device buffer 3 of 4096 bytes"; empty if the address is near none.
std::string describe_address(const void*);
extern void (*when_freed)(const void* buffer);                        // called if not null
extern void (*when_written)(const void*, size_t bytes);               // by copies and fills; called if not null
bool is_pinned(const void*);                                          // host memory of cudaMallocHost
bool find_device(const void*, const char*& begin, const char*& end);  // the buffer that an address is in
bool is_device(const void*, size_t bytes);  // wholly inside one buffer of cudaMalloc or cudaMallocHost

// Bytes of cudaMalloc in use at most, from here on. One at a time.
class DeviceMemoryPeak {
public:
    DeviceMemoryPeak();
    size_t bytes() const;
};

}  // namespace simt
