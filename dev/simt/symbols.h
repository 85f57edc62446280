// What the program's own symbol table tells: the name of a kernel, and where its shared variables are.
#pragma once
#include <cstddef>
#include <string>
#include <vector>

namespace simt {

struct SharedVariable {
    std::string symbol;                                  // mangled: _ZZ <function> E <name> B6shared
    size_t offset, bytes;                                // within the program's thread-local block
    bool of_kernel;                                      // declared in a kernel: nobody else uses it
    bool belongs_to(const std::string& function) const;  // a mangled name
};
struct Gap {
    size_t offset, bytes;
};  // beside a shared variable, of nobody
struct Symbols {
    std::vector<SharedVariable> shared;  // by offset, without the dynamic one
    std::vector<Gap> gaps;
    static const Symbols& read();  // once; ends the program if there is no symbol table
    static std::string mangled_name(const void* function);
    static std::string readable(const std::string& mangled);
};
struct ThreadLocalBlock {
    char* begin;
    size_t bytes;
};
ThreadLocalBlock thread_local_block();  // of the calling OS thread, for the program itself

}  // namespace simt
