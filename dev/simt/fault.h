// A kernel's wild access ends the program, with a message that says which thread of which kernel touched what.
#pragma once
namespace simt {
void catch_faults();     // SIGSEGV and SIGBUS, once; not in sanitizer builds, which have their own
void use_fault_stack();  // once per OS thread: the handler runs on a stack of its own, as the fiber's may be full
}  // namespace simt
