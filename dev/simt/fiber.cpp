#include "fiber.h"
#include <signal.h>
#include <sys/mman.h>
#include <boost/context/preallocated.hpp>
#include <cstdlib>
#include <new>

namespace simt {
namespace {

constexpr size_t stack_bytes = address_sanitizer || thread_sanitizer ? 512 * 1024 : 128 * 1024, guard_bytes = 64 * 1024;

// Memory is committed by the kernel page by page, as a stack grows.
struct GuardedStack {
    boost::context::stack_context allocate() {
        // Neighbouring stacks start 64 bytes x 13 apart in the cache: all at the same offset would evict each other.
        static thread_local size_t colour = 0;
        colour = (colour + 13 * 64) % 4096;
        void* p = mmap(nullptr, guard_bytes + stack_bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p == MAP_FAILED) throw std::bad_alloc();
        mprotect(p, guard_bytes, PROT_NONE);
        boost::context::stack_context stack;
        stack.size = stack_bytes - colour;
        stack.sp = static_cast<char*>(p) + guard_bytes + stack.size;
        return stack;
    }
    void deallocate(boost::context::stack_context&) {}
};

}  // namespace

Fiber* FiberPool::idle() {
    if (!parked.empty()) {
        Fiber* fiber = parked.back();
        parked.pop_back();
        return fiber;
    }
    Fiber* fiber = new Fiber;
    GuardedStack stacks;
    const boost::context::stack_context stack = stacks.allocate();
    fiber->stack_bottom = static_cast<char*>(stack.sp) - stack.size;
    fiber->stack_bytes = stack.size;
    const boost::context::preallocated whole(stack.sp, stack.size, stack);
    fiber->context = boost::context::fiber(std::allocator_arg, whole, stacks, [this](boost::context::fiber&& from) {
        before->context = std::move(from);
        if (address_sanitizer) arrive();
        loop();
        return boost::context::fiber();
    });
    return fiber;
}

// What is on the stacks is left as it is: nobody goes on there.
void FiberPool::unmap_idle() {
    if (address_sanitizer || thread_sanitizer) return;
    for (const Fiber* fiber : parked)
        munmap(static_cast<char*>(const_cast<void*>(fiber->stack_bottom)) - guard_bytes, guard_bytes + stack_bytes);
    parked.clear();
}

bool FiberPool::on_guard_page(const void* address) const {
    const char *bottom = static_cast<const char*>(now->stack_bottom), *p = static_cast<const char*>(address);
    return bottom && p < bottom && p >= bottom - guard_bytes;
}

void FiberPool::arrive() {
    const void* bottom = nullptr;
    size_t bytes = 0;
    arrive_on_stack(now->fake_stack, &bottom, &bytes);
    if (before == &main_fiber) main_fiber.stack_bottom = bottom, main_fiber.stack_bytes = bytes;
}

void use_fault_stack() {
    if (address_sanitizer || thread_sanitizer) return;
    constexpr size_t bytes = 64 * 1024;
    stack_t stack{};
    stack.ss_sp = std::malloc(bytes);
    stack.ss_size = bytes;
    sigaltstack(&stack, nullptr);
}

}  // namespace simt
