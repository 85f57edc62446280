// What the sanitizers must be told. The scheduler itself is compiled without them: the Makefile says which one the
// kernels are built with (SIMT_ASAN, SIMT_TSAN).
#pragma once
#include <cstddef>
#include <cstdint>

namespace simt {
#ifdef SIMT_ASAN
constexpr bool address_sanitizer = true;
#else
constexpr bool address_sanitizer = false;
#endif
#ifdef SIMT_TSAN
constexpr bool thread_sanitizer = true;
#else
constexpr bool thread_sanitizer = false;
#endif
}  // namespace simt

#ifdef SIMT_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
inline void leave_for_stack(void** fake_stack, const void* bottom, size_t bytes) {
    __sanitizer_start_switch_fiber(fake_stack, bottom, bytes);
}
inline void arrive_on_stack(void* fake_stack, const void** old_bottom, size_t* old_bytes) {
    __sanitizer_finish_switch_fiber(fake_stack, old_bottom, old_bytes);
}
#else
inline void leave_for_stack(void**, const void*, size_t) {}
inline void arrive_on_stack(void*, const void**, size_t*) {}
inline void __asan_poison_memory_region(const volatile void*, size_t) {}
inline void __asan_unpoison_memory_region(const volatile void*, size_t) {}
inline void* __asan_region_is_poisoned(void*, size_t) { return nullptr; }
#endif

#ifdef SIMT_TSAN
#include <sanitizer/tsan_interface.h>
extern "C" {
void __tsan_ignore_thread_begin();
void __tsan_read_range(void*, unsigned long bytes);
void __tsan_write_range(void*, unsigned long bytes);
void __tsan_func_entry(void* called_from);
void __tsan_func_exit();
void __tsan_java_init(unsigned long begin, unsigned long bytes);   // memory whose owner says when it becomes new ...
void __tsan_java_alloc(unsigned long begin, unsigned long bytes);  // ... namely now: what was done to it is forgotten
}
#else
inline void* __tsan_get_current_fiber() { return nullptr; }
inline void* __tsan_create_fiber(unsigned) { return nullptr; }
inline void __tsan_switch_to_fiber(void*, unsigned) {}
inline void __tsan_set_fiber_name(void*, const char*) {}
inline void __tsan_acquire(void*) {}
inline void __tsan_release(void*) {}
inline void __tsan_ignore_thread_begin() {}
inline void __tsan_read_range(void*, unsigned long) {}
inline void __tsan_write_range(void*, unsigned long) {}
inline void __tsan_func_entry(void*) {}
inline void __tsan_func_exit() {}
inline void __tsan_java_init(unsigned long, unsigned long) {}
inline void __tsan_java_alloc(unsigned long, unsigned long) {}
#endif
