#include "shared_memory.h"
#include <cstdint>

// What kernels declare as `extern __shared__ unsigned char dynamic_shared_memory[]`, with any type and alignment up to 1024.
// The last bytes are a red zone even when a kernel asks for the most it may.
namespace {
constexpr size_t red_zone = 1024;
}
thread_local __attribute__((abi_tag("shared"), aligned(simt::address_sanitizer ? 65536 : 1024)))
unsigned char dynamic_shared_memory[simt::shared_limit + red_zone];
// Other files call this before they touch a thread-local variable that they only declare.
extern "C" void nothing_to_initialise() asm("_ZTH21dynamic_shared_memoryB6shared");
extern "C" void nothing_to_initialise() {}

namespace simt {
namespace {

constexpr uint64_t nan_pattern = ~uint64_t(0), canary = 0xc0ffee11c0ffee11;
constexpr size_t gap = 65536;   // the alignment of shared variables under AddressSanitizer (language.h)

// Not memset: ThreadSanitizer would see it. Ranges begin at multiples of 8.
void fill(char* begin, size_t bytes, uint64_t pattern) {
    auto* words = reinterpret_cast<volatile uint64_t*>(begin);
    for (size_t i = 0; i < bytes / 8; i++) words[i] = pattern;
    for (size_t i = bytes / 8 * 8; i < bytes; i++) reinterpret_cast<volatile char*>(begin)[i] = char(pattern >> (i % 8 * 8));
}

}  // namespace

bool is_shared(const void* p, unsigned bytes) { return SharedMemory::mine().contains(p, bytes); }

size_t static_shared_bytes(const std::string& kernel) {
    size_t bytes = 0;
    for (const SharedVariable& v : Symbols::read().shared)
        if (v.of_kernel && v.belongs_to(kernel)) bytes += v.bytes;
    return bytes;
}

SharedMemory& SharedMemory::mine() {
    static thread_local SharedMemory memory;
    return memory;
}

SharedMemory::SharedMemory() : variables(thread_local_block()) {
    for (const SharedVariable& v : Symbols::read().shared) {
        const size_t end = (v.offset + v.bytes + 7) / 8 * 8;   // AddressSanitizer poisons from there; it knows part of the last 8
        if (address_sanitizer) __asan_poison_memory_region(variables.begin + v.offset + v.bytes, (end + gap - 1) / gap * gap - v.offset - v.bytes);
    }
    if (address_sanitizer) __asan_poison_memory_region(dynamic_shared_memory, sizeof dynamic_shared_memory);
    static bool first = true;
    if (thread_sanitizer && first) __tsan_java_init(reinterpret_cast<uintptr_t>(dynamic_shared_memory) / 8 * 8, 8);
    first = false;
}

void SharedMemory::choose(const Launch& l) {
    chosen_for = l.function;
    ranges.clear();
    const Symbols& symbols = Symbols::read();
    const std::string kernel = symbols.mangled_name(l.function);
    for (const SharedVariable& v : symbols.shared)
        if (!v.of_kernel || v.belongs_to(kernel)) ranges.push_back({variables.begin + v.offset, v.bytes});
}

void SharedMemory::renew(const Launch& l) {
    if (chosen_for != l.function) choose(l);
    char* dynamic = reinterpret_cast<char*>(dynamic_shared_memory);
    const bool changed = dynamic_bytes != l.shared_bytes;
    if (address_sanitizer && changed) {
        __asan_poison_memory_region(dynamic, sizeof dynamic_shared_memory);
        __asan_unpoison_memory_region(dynamic, l.shared_bytes);
    }
    dynamic_bytes = l.shared_bytes;
    for (const Range& r : ranges) fill(r.begin, r.bytes, nan_pattern);
    fill(dynamic, (l.shared_bytes + 7) / 8 * 8, nan_pattern);
    if (!address_sanitizer && changed) fill(dynamic + (l.shared_bytes + 7) / 8 * 8, red_zone - 8, canary);
    if (!thread_sanitizer) return;
    for (const Range& r : ranges) __tsan_java_alloc(reinterpret_cast<uintptr_t>(r.begin), (r.bytes + 7) / 8 * 8);
    if (l.shared_bytes) __tsan_java_alloc(reinterpret_cast<uintptr_t>(dynamic), (l.shared_bytes + 7) / 8 * 8);
}

bool SharedMemory::contains(const void* address, size_t bytes) const {
    const auto inside = [&](const void* begin, size_t size) {
        const size_t at = size_t(static_cast<const char*>(address) - static_cast<const char*>(begin));
        return at < size && bytes <= size - at;
    };
    if (inside(dynamic_shared_memory, sizeof dynamic_shared_memory)) return inside(dynamic_shared_memory, dynamic_bytes);
    return inside(variables.begin, variables.bytes);
}

std::string SharedMemory::damage(const Launch& l) const {
    if (address_sanitizer) return "";
    const size_t end = (l.shared_bytes + 7) / 8 * 8;
    const auto* words = reinterpret_cast<const uint64_t*>(dynamic_shared_memory + end);
    for (size_t i = 0; i < (red_zone - 8) / 8; i++)
        if (words[i] != canary)
            return "wrote beyond its " + std::to_string(l.shared_bytes) + " bytes of dynamic shared memory, near byte " +
                   std::to_string(end + i * 8);
    return "";
}

}  // namespace simt
