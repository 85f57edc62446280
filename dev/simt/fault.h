// A kernel's wild access ends the program, with a message that says which thread of which kernel touched what.
#pragma once
namespace simt {
void catch_faults();  // SIGSEGV and SIGBUS, once; not in sanitizer builds, which have their own
}  // namespace simt
