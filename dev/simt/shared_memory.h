// The shared memory of the block that an OS thread runs: thread-local variables, filled with NaNs before each block.
#pragma once
#include <cstddef>
#include <string>
#include <vector>
#include "grid.h"
#include "symbols.h"

namespace simt {

constexpr size_t static_shared_limit = 48 * 1024, shared_limit = 227 * 1024;
constexpr size_t shared_room = 256 * 1024;  // what descriptors of matrices can address

size_t own_shared_bytes(const std::string& kernel);  // declared in the kernel of this mangled name itself
size_t called_shared_bytes(const void* kernel);      // in functions that it calls, as far as its blocks have shown

class SharedMemory {
public:
    static SharedMemory& mine();        // of this OS thread
    void renew(const Launch&);          // fills it, for a block of this launch
    std::string damage(const Launch&);  // what was written outside of it; empty: nothing
    void learn(const Launch&);          // which variables of functions its block has written

    bool contains(const void*, size_t bytes) const;
    bool contains_dynamic(const void*, size_t bytes) const;
    static char* dynamic();  // where its dynamic part begins
    // Bytes from there on that count as its dynamic part too, until it is renewed: where others keep what kernels
    // declare with a size (../ptx).
    void also(size_t begin, size_t bytes) { also_begin = begin, also_bytes = bytes; }

private:
    struct Range {
        char* begin;
        size_t bytes;
        const SharedVariable* to_learn;
    };  // null: known to be the kernel's
    SharedMemory();
    void choose(const Launch&);

    const void* chosen_for = nullptr;  // a kernel
    std::vector<Range> ranges;         // its variables and those of functions it may call
    ThreadLocalBlock variables;        // the thread-local block they are in
    size_t dynamic_bytes = ~size_t(0), also_begin = 0, also_bytes = 0;
};

}  // namespace simt
