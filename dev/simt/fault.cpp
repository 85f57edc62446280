#include "fault.h"
#include <csignal>
#include <cstdio>
#include <string>
#include "block.h"
#include "device_memory.h"
#include "sanitizer.h"

namespace simt {
namespace {

// Not async-signal-safe, but the program ends here: the worst case is the bare signal it would have been anyway.
void report_fault(int number, siginfo_t* info, void*) {
    std::signal(number,
                SIG_DFL);  // returning runs the instruction again: it ends the program, or stops it in a debugger
    const Block& block = Block::mine();
    if (!block.launch || !running) return;
    std::string what = describe_address(info->si_addr);
    if (info->si_code == SI_KERNEL)
        what = "an address that is not a multiple of the access's size, or no address at all";
    else if (block.on_guard_page(info->si_addr))
        what = "the end of its stack: local arrays too large, or endless recursion";
    else if (what.empty()) what = "an address in no device buffer";
    const uint3 b = blockIdx, t = running->index;
    std::fprintf(stderr, "simt: %s, block (%u,%u,%u), thread (%u,%u,%u): touched %s\n", block.launch->kernel.c_str(),
                 b.x, b.y, b.z, t.x, t.y, t.z, what.c_str());
}

}  // namespace

void catch_faults() {
    if (address_sanitizer || thread_sanitizer) return;
    static const bool once = [] {
        struct sigaction action {};
        action.sa_sigaction = report_fault;
        action.sa_flags = SA_SIGINFO | SA_ONSTACK;
        sigaction(SIGSEGV, &action, nullptr);
        sigaction(SIGBUS, &action, nullptr);
        return true;
    }();
    (void)once;
}

}  // namespace simt

// AddressSanitizer calls this before its report, which does not know of CUDA threads.
#ifdef SIMT_ASAN
extern "C" void __asan_on_error() {
    const simt::Block& block = simt::Block::mine();
    if (!block.launch || !simt::running) return;
    const uint3 b = blockIdx, t = simt::running->index;
    std::fprintf(stderr, "simt: %s, block (%u,%u,%u), thread (%u,%u,%u): bad memory access\n",
                 block.launch->kernel.c_str(), b.x, b.y, b.z, t.x, t.y, t.z);
}
#endif

#ifdef SIMT_TSAN
// OpenMP's own waiting is not instrumented: the host's loops would seem to race. Kernels run on one OS thread.
extern "C" const char* __tsan_default_suppressions() { return "race:_omp_fn\ncalled_from_lib:libgomp\n"; }
#endif
#ifdef SIMT_ASAN
// After a failure threads stay where they are for ever, with all they hold.
extern "C" const char* __lsan_default_suppressions() {
    return "leak:simt::Block::\nleak:simt::FiberPool::\nleak:simt::fail\nleak:simt::to_string\n"
           "leak:dev/simt/matrix.cpp\nleak:dev/simt/tensor_copy.cpp\n";
}
#endif
