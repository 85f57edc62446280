#include "module_memory.h"
#include <cstdlib>
#include <cstring>
#include <mutex>

namespace ptx {
namespace {

std::mutex mutex;
std::map<const char*, size_t>& all() {  // bytes, by address
    static auto* m = new std::map<const char*, size_t>;
    return *m;
}

}  // namespace

uint64_t make_module_variable(const Variable& v) {
    const size_t align = std::max<size_t>(v.align, 256);
    char* p = static_cast<char*>(std::aligned_alloc(align, (v.bytes + align) / align * align));
    std::memset(p, 0, v.bytes);
    std::memcpy(p, v.data.data(), std::min(v.data.size(), v.bytes));
    const std::lock_guard lock(mutex);
    all()[p] = v.bytes;
    return reinterpret_cast<uint64_t>(p);
}

bool find_module_variable(const void* address, const char*& begin, const char*& end) {
    const std::lock_guard lock(mutex);
    auto it = all().upper_bound(static_cast<const char*>(address));
    if (it == all().begin()) return false;
    --it;
    begin = it->first, end = begin + it->second;
    return address < end;
}

}  // namespace ptx
