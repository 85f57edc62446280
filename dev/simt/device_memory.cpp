#include "device_memory.h"
#include <sys/mman.h>
#include <unistd.h>
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include "include/simt/runtime_api.h"
#include "sanitizer.h"
#include "stream.h"

namespace simt {
namespace {

// Without a sanitizer: a buffer ends at a page that may not be touched, rounded to CUDA's alignment; the bytes of that
// rounding, and as many in front, hold a pattern. With one: the sanitizer's own heap, which keeps red zones and
// remembers who allocated and freed.
constexpr size_t alignment = 256;
constexpr unsigned char fresh = 0xff, canary = 0xc5;  // four fresh bytes are a NaN
constexpr bool guarded = !address_sanitizer && !thread_sanitizer;
constexpr size_t freed_buffers_kept = 1024;  // unreadable, so that a use after free faults

struct Buffer {
    size_t bytes, number;
    char* map;  // pages around it, first and last untouchable
    size_t map_bytes;
    bool pinned, freed;
};
struct Registry {
    std::mutex mutex;
    std::map<const char*, Buffer> buffers;  // by first byte
    std::deque<const char*> freed;          // oldest first
    size_t count = 0, bytes_in_use = 0, on_device = 0, most_on_device = 0;
};
Registry& registry() {
    static Registry* r = new Registry;
    return *r;
}

size_t round_up(size_t n, size_t multiple) { return (n + multiple - 1) / multiple * multiple; }
size_t page() {
    static const size_t bytes = size_t(sysconf(_SC_PAGESIZE));
    return bytes;
}
size_t device_bytes() { return size_t(sysconf(_SC_PHYS_PAGES)) * page() / 2; }

cudaError_t allocate(void** p, size_t bytes, bool pinned) {
    if (const cudaError_t error = sticky_error()) return error;
    if (!p) return remember(cudaErrorInvalidValue);
    if (capturing()) return remember(cudaErrorStreamCaptureUnsupported);
    *p = nullptr;
    if (!bytes) return cudaSuccess;
    Registry& r = registry();
    const std::lock_guard lock(r.mutex);
    if (bytes > device_bytes() || r.bytes_in_use + bytes > device_bytes()) return remember(cudaErrorMemoryAllocation);
    Buffer buffer{bytes, ++r.count, nullptr, 0, pinned, false};
    if (guarded) {
        const size_t body = round_up(round_up(bytes, alignment), page());
        buffer.map_bytes = body + 2 * page();
        void* map =
            mmap(nullptr, buffer.map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (map == MAP_FAILED) return remember(cudaErrorMemoryAllocation);
        buffer.map = static_cast<char*>(map);
        mprotect(buffer.map, page(), PROT_NONE);
        mprotect(buffer.map + page() + body, page(), PROT_NONE);
        char* begin = buffer.map + page() + body - round_up(bytes, alignment);
        std::memset(buffer.map + page(), canary, size_t(begin - buffer.map) - page());
        std::memset(begin + bytes, canary, round_up(bytes, alignment) - bytes);
        *p = begin;
    } else if (posix_memalign(p, alignment, bytes)) {
        return remember(cudaErrorMemoryAllocation);
    }
    std::memset(*p, fresh, bytes);
    r.bytes_in_use += bytes;
    if (!pinned) r.most_on_device = std::max(r.most_on_device, r.on_device += bytes);
    r.buffers[static_cast<char*>(*p)] = buffer;
    return cudaSuccess;
}

cudaError_t release(void* p, bool pinned) {
    if (!p) return cudaSuccess;
    finish_all();
    Registry& r = registry();
    const std::lock_guard lock(r.mutex);
    const auto it = r.buffers.find(static_cast<char*>(p));
    if (it == r.buffers.end() || it->second.freed || it->second.pinned != pinned)
        return remember(cudaErrorInvalidValue);
    Buffer& buffer = it->second;
    if (when_freed) when_freed(p);
    r.bytes_in_use -= buffer.bytes;
    if (!pinned) r.on_device -= buffer.bytes;
    if (!guarded) {
        r.buffers.erase(it);
        std::free(p);
        return sticky_error();
    }
    madvise(buffer.map, buffer.map_bytes, MADV_DONTNEED);
    mprotect(buffer.map, buffer.map_bytes, PROT_NONE);
    buffer.freed = true;
    r.freed.push_back(it->first);
    if (r.freed.size() > freed_buffers_kept) {
        const auto oldest = r.buffers.find(r.freed.front());
        munmap(oldest->second.map, oldest->second.map_bytes);
        r.buffers.erase(oldest);
        r.freed.pop_front();
    }
    return sticky_error();
}

std::string name_of(const Buffer& b) {
    return std::string(b.pinned ? "pinned host" : "device") + " buffer " + std::to_string(b.number) + " of " +
           std::to_string(b.bytes) + " bytes";
}

}  // namespace

void (*when_freed)(const void*) = nullptr;
void (*when_written)(const void*, size_t) = nullptr;

std::string damaged_device_memory() {
    if (!guarded) return "";
    Registry& r = registry();
    const std::lock_guard lock(r.mutex);
    for (const auto& [begin, buffer] : r.buffers) {
        if (buffer.freed) continue;
        const char* first = std::max<const char*>(begin - alignment, buffer.map + page());
        const char* last = begin + round_up(buffer.bytes, alignment);
        for (const char* p = first; p < last; p++) {
            if (p == begin) p += buffer.bytes;
            if (p < last && static_cast<unsigned char>(*p) != canary) return "wrote " + describe_address(p);
        }
    }
    return "";
}

std::string describe_address(const void* address) {
    const char* p = static_cast<const char*>(address);
    const Registry& r = registry();
    auto it = r.buffers.upper_bound(p);
    const auto next = it;
    if (it != r.buffers.begin()) {
        const auto& [begin, b] = *--it;
        const size_t at = size_t(p - begin);
        if (at < b.bytes) return "byte " + std::to_string(at) + " of " + (b.freed ? "freed " : "") + name_of(b);
        if (at < b.bytes + 2 * page()) return std::to_string(at - b.bytes) + " bytes past the end of " + name_of(b);
    }
    if (next != r.buffers.end() && size_t(next->first - p) < 2 * page())
        return std::to_string(next->first - p) + " bytes before " + name_of(next->second);
    return "";
}

bool is_pinned(const void* address) {
    const char* p = static_cast<const char*>(address);
    Registry& r = registry();
    const std::lock_guard lock(r.mutex);
    auto it = r.buffers.upper_bound(p);
    return it != r.buffers.begin() && (--it)->second.pinned && !it->second.freed &&
           size_t(p - it->first) < it->second.bytes;
}

DeviceMemoryPeak::DeviceMemoryPeak() {
    Registry& r = registry();
    const std::lock_guard lock(r.mutex);
    r.most_on_device = r.on_device;
}
size_t DeviceMemoryPeak::bytes() const {
    Registry& r = registry();
    const std::lock_guard lock(r.mutex);
    return r.most_on_device;
}

bool find_device(const void* address, const char*& begin, const char*& end) {
    const char* p = static_cast<const char*>(address);
    Registry& r = registry();
    const std::lock_guard lock(r.mutex);
    auto it = r.buffers.upper_bound(p);
    if (it == r.buffers.begin() || (--it)->second.freed) return false;
    begin = it->first, end = begin + it->second.bytes;
    return p < end;
}

bool is_device(const void* address, size_t bytes) {
    const char *begin, *end;
    return find_device(address, begin, end) && bytes <= size_t(end - static_cast<const char*>(address));
}

}  // namespace simt

cudaError_t cudaMalloc(void** p, size_t bytes) {
    SIMT_CALL();
    return simt::allocate(p, bytes, false);
}
cudaError_t cudaMallocAsync(void** p, size_t bytes, cudaStream_t) { return cudaMalloc(p, bytes); }
cudaError_t cudaMallocHost(void** p, size_t bytes) {
    SIMT_CALL();
    return simt::allocate(p, bytes, true);
}
cudaError_t cudaHostAlloc(void** p, size_t bytes, unsigned) { return cudaMallocHost(p, bytes); }
cudaError_t cudaFree(void* p) { return simt::release(p, false); }
cudaError_t cudaFreeHost(void* p) { return simt::release(p, true); }
cudaError_t cudaMemGetInfo(size_t* free_bytes, size_t* total) {
    SIMT_CALL();
    *total = simt::device_bytes();
    *free_bytes = *total - simt::registry().bytes_in_use;
    return cudaSuccess;
}
