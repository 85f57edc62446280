// Fibers: stacks of their own that one OS thread switches between. Boost.Context switches, this tells the sanitizers.
#pragma once
#include <boost/context/fiber.hpp>
#include <vector>
#include "sanitizer.h"

namespace simt {

struct Fiber {
    boost::context::fiber context;  // where it goes on; empty while it runs
    const void* stack_bottom = nullptr;
    size_t stack_bytes = 0;
    void* fake_stack = nullptr;  // AddressSanitizer's
};

// The fibers of one OS thread. Stacks are reused, and end at a page that may not be touched.
class FiberPool {
public:
    using Loop = void (*)();  // what every fiber runs; never returns

    explicit FiberPool(Loop loop) : loop(loop) {}
    Fiber* main() { return &main_fiber; }  // the OS thread's own stack
    Fiber* current() const { return now; }
    Fiber* idle();                          // one that waits for work
    void park() { parked.push_back(now); }  // the running fiber will be idle once it switches away
    void unmap_idle();                      // the OS thread ends: a process may map so much, and have many threads
    void switch_to(Fiber* next) {
        before = now;
        now = next;
        leave_for_stack(&before->fake_stack, next->stack_bottom, next->stack_bytes);
        boost::context::fiber from = std::move(next->context).resume();
        before->context = std::move(from);  // `before` is by now whoever switched back to this one
        if (address_sanitizer) arrive();
    }
    bool on_guard_page(const void*) const;  // below the running fiber's stack

private:
    void arrive();  // tells AddressSanitizer where we are

    Loop loop;
    Fiber main_fiber, *now = &main_fiber, *before = nullptr;
    std::vector<Fiber*> parked;
};

// Once per OS thread: the handler of a fault runs on a stack of its own, as the fiber's may be full.
// Not in sanitizer builds.
void use_fault_stack();

}  // namespace simt
