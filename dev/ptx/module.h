// PTX kernels as simt can launch them.
#pragma once
#include <memory>
#include <string>
#include "dev/simt/include/simt/runtime_api.h"
#include "dev/simt/kernels.h"

namespace ptx {

struct Kernel;  // an entry of a module; lives as long as its module

class Module {
public:
    // Parses and decodes a module's text; `origin` names it in messages. Throws std::runtime_error with one line: what
    // and where.
    static std::shared_ptr<Module> load(std::string text, const std::string& origin);
    const Kernel* find(const std::string& entry) const;  // by its mangled name; null: no such entry
    virtual ~Module() = default;
};

size_t static_shared_bytes(const Kernel&);
int max_threads(const Kernel&);                                        // .maxntid, or 1024
simt::KernelCode kernel_code(const Kernel&, const std::string& name);  // these, and .reqnctapercluster
// Copies the arguments as the entry's parameters say. The module must outlive the call.
simt::Call call(const Kernel&, void** arguments);

}  // namespace ptx
