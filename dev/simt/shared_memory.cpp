#include "shared_memory.h"
#include <algorithm>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <utility>
#include "sanitizer.h"

// What kernels declare as `extern __shared__ unsigned char dynamic_shared_memory[]`, with any type and alignment up to
// 1024. The last bytes are a red zone even when a kernel asks for the most it may.
namespace {
constexpr size_t red_zone = 1024;
}
thread_local __attribute__((
    abi_tag("shared"),
    aligned(simt::address_sanitizer ? 65536 : 1024))) unsigned char dynamic_shared_memory[simt::shared_room + red_zone];
// Initialised variables come first: the gap behind this one is in front of the first shared variable
// (AddressSanitizer's build).
thread_local
    __attribute__((abi_tag("shared"), aligned(simt::address_sanitizer ? 65536 : 16))) volatile char in_front[16] = {1};
// Other files call this before they touch a thread-local variable that they only declare.
extern "C" void nothing_to_initialise() asm("_ZTH21dynamic_shared_memoryB6shared");
extern "C" void nothing_to_initialise() {}

namespace simt {
namespace {

constexpr uint64_t nan_pattern = ~uint64_t(0), canary = 0xc5c5c5c5c5c5c5c5;

// Not memset: ThreadSanitizer would see it. Ranges begin at multiples of 8.
void fill(char* begin, size_t bytes, uint64_t pattern) {
    auto* words = reinterpret_cast<volatile uint64_t*>(begin);
    for (size_t i = 0; i < bytes / 8; i++) words[i] = pattern;
    for (size_t i = bytes / 8 * 8; i < bytes; i++)
        reinterpret_cast<volatile char*>(begin)[i] = char(pattern >> (i % 8 * 8));
}

std::mutex called_mutex;
std::map<const void*, std::set<const SharedVariable*>> called;

}  // namespace

bool is_shared(const void* p, unsigned bytes) { return SharedMemory::mine().contains(p, bytes); }

size_t own_shared_bytes(const std::string& kernel) {
    size_t bytes = 0;
    for (const SharedVariable& v : Symbols::read().shared)
        if (v.belongs_to(kernel)) bytes += v.bytes;
    return bytes;
}

size_t called_shared_bytes(const void* kernel) {
    const std::lock_guard lock(called_mutex);
    size_t bytes = 0;
    for (const SharedVariable* v : called[kernel]) bytes += v->bytes;
    return bytes;
}

SharedMemory& SharedMemory::mine() {
    static thread_local SharedMemory memory;
    return memory;
}

SharedMemory::SharedMemory() : variables(thread_local_block()) {
    if (address_sanitizer) {
        in_front[0] = 1;  // keeps it in the program
        for (const Gap& gap : Symbols::read().gaps)
            __asan_poison_memory_region(variables.begin + gap.offset, gap.bytes);
        __asan_poison_memory_region(dynamic_shared_memory, sizeof dynamic_shared_memory);
    }
    static bool first = true;
    if (thread_sanitizer && first) __tsan_java_init(reinterpret_cast<uintptr_t>(dynamic_shared_memory) / 8 * 8, 8);
    first = false;
}

void SharedMemory::choose(const Launch& l) {
    chosen_for = l.function;
    ranges.clear();
    const Symbols& symbols = Symbols::read();
    for (const SharedVariable& v : symbols.shared)
        if (!v.of_kernel || v.belongs_to(l.mangled))
            ranges.push_back({variables.begin + v.offset, v.bytes, v.belongs_to(l.mangled) ? nullptr : &v});
}

void SharedMemory::renew(const Launch& l) {
    if (chosen_for != l.function) choose(l);
    also_bytes = 0;
    char* dynamic = reinterpret_cast<char*>(dynamic_shared_memory);
    const bool changed = dynamic_bytes != l.shared_bytes;
    if (address_sanitizer && changed) {
        __asan_poison_memory_region(dynamic, sizeof dynamic_shared_memory);
        __asan_unpoison_memory_region(dynamic, l.shared_bytes);
    }
    dynamic_bytes = l.shared_bytes;
    for (const Range& r : ranges) fill(r.begin, r.bytes, nan_pattern);
    if (!address_sanitizer && changed) fill(dynamic + l.shared_bytes / 8 * 8, red_zone, canary);
    fill(dynamic, l.shared_bytes, nan_pattern);
    if (!thread_sanitizer) return;
    for (const Range& r : ranges) __tsan_java_alloc(reinterpret_cast<uintptr_t>(r.begin), (r.bytes + 7) / 8 * 8);
    if (l.shared_bytes) __tsan_java_alloc(reinterpret_cast<uintptr_t>(dynamic), (l.shared_bytes + 7) / 8 * 8);
}

static bool inside(const void* address, size_t bytes, const void* begin, size_t size) {
    const size_t at = size_t(static_cast<const char*>(address) - static_cast<const char*>(begin));
    return at < size && bytes <= size - at;
}
bool SharedMemory::contains_dynamic(const void* address, size_t bytes) const {
    return inside(address, bytes, dynamic_shared_memory, dynamic_bytes) ||
           inside(address, bytes, dynamic_shared_memory + also_begin, also_bytes);
}
bool SharedMemory::contains(const void* address, size_t bytes) const {
    if (inside(address, bytes, dynamic_shared_memory, sizeof dynamic_shared_memory))
        return contains_dynamic(address, bytes);
    return inside(address, bytes, variables.begin, variables.bytes);
}
char* SharedMemory::dynamic() { return reinterpret_cast<char*>(dynamic_shared_memory); }

std::string SharedMemory::damage(const Launch& l) {
    if (address_sanitizer) return "";
    const size_t end = l.shared_bytes / 8 * 8 + red_zone;
    size_t at = l.shared_bytes;
    const auto intact = [&] { return dynamic_shared_memory[at] == static_cast<unsigned char>(canary); };
    const auto eight_intact = [&] { return reinterpret_cast<const uint64_t&>(dynamic_shared_memory[at]) == canary; };
    while (at < end && intact()) at += at % 8 == 0 && eight_intact() ? 8 : 1;
    if (at == end) return "";
    dynamic_bytes = ~size_t(0);  // renew the red zone
    return "wrote byte " + std::to_string(at) + " of dynamic shared memory, but asked for " +
           std::to_string(l.shared_bytes);
}

void SharedMemory::learn(const Launch& l) {
    for (Range& r : ranges) {
        if (!r.to_learn || std::all_of(r.begin, r.begin + r.bytes, [](char c) { return c == char(nan_pattern); }))
            continue;
        const std::lock_guard lock(called_mutex);
        called[l.function].insert(std::exchange(r.to_learn, nullptr));
    }
}

}  // namespace simt
