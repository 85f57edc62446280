// PTX as a test writes it, run like a kernel: what came of it, and what was said.
#pragma once
#include <memory>
#include <string>
#include <tuple>
#include <vector>
#include "dev/ptx/module.h"
#include "dev/simt/kernels.h"
#include "dev/simt/report.h"
#include "dev/simt/test/device_test.h"

namespace ptx {

struct Outcome {
    cudaError_t error;
    std::string said;
};

template <class T>
void* argument(const Device<T>& memory) {
    return static_cast<T*>(memory);
}
template <class T>
T argument(const T& x) {
    return x;
}

// Modules whose entries are launched by name. Errors of the text are thrown as they are when it is loaded, or, of a
// body, when its entry is first launched.
class Program {
public:
    explicit Program(const std::string& text, const std::string& origin = "test.ptx")
        : module(Module::load("\n.version 8.0\n.target sm_90a\n.address_size 64\n" + text, origin)) {}

    // Arguments are copied; buffers stand for their addresses. Waits for the kernel; after an error the device is as
    // new.
    template <class... A>
    Outcome launch(const std::string& entry, dim3 grid, dim3 block, size_t shared_bytes, const A&... arguments) const {
        auto values = std::make_tuple(argument(arguments)...);
        return std::apply(
            [&](auto&... value) {
                void* addresses[] = {&value..., nullptr};
                return run(entry, grid, block, shared_bytes, addresses);
            },
            values);
    }
    template <class... A>
    void must(const std::string& entry, dim3 grid, dim3 block, size_t shared_bytes, const A&... arguments) const {
        const Outcome o = launch(entry, grid, block, shared_bytes, arguments...);
        EXPECT_EQ(o.error, cudaSuccess) << o.said;
    }

private:
    Outcome run(const std::string& entry, dim3 grid, dim3 block, size_t shared_bytes, void** arguments) const;

    std::shared_ptr<Module> module;
};

// One entry, `k`: its parameters as in ".param .u64 a, .param .u32 n", its body without braces. Lines of the body are
// numbered from 1 as lines of k.cu, so that messages can name them.
std::string entry_text(const std::string& parameters, const std::string& body, const std::string& directives = "");
// The number of the body's line that holds `what`.
int line_of(const std::string& body, const std::string& what);

// Registers for all, %t the thread's number in its block, and %at the thread's own word of `out`, a parameter.
constexpr char prelude[] = R"(.reg .pred %p<10>, %q;
.reg .b16 %h<10>;
.reg .b32 %t, %r<40>;
.reg .f32 %f<40>;
.reg .b64 %at, %out, %rd<40>;
mov.u32 %t, %tid.x;
ld.param.u64 %out, [out];
mad.wide.u32 %at, %t, 4, %out;
)";

class OneKernel {  // a program of one entry
public:
    OneKernel(const std::string& parameters, const std::string& body, const std::string& outside = "",
              const std::string& directives = "")
        : program("\t.file\t1 \"k.cu\"\n" + outside + entry_text(parameters, body, directives)) {}
    template <class... A>
    void must(dim3 grid, dim3 block, size_t shared_bytes, const A&... arguments) const {
        program.must("k", grid, block, shared_bytes, arguments...);
    }
    template <class... A>
    Outcome launch(dim3 grid, dim3 block, size_t shared_bytes, const A&... arguments) const {
        return program.launch("k", grid, block, shared_bytes, arguments...);
    }

private:
    Program program;
};

// What `threads` threads leave in their words of `out`, a block of one kernel whose body comes after the prelude.
std::vector<uint32_t> words_of(const std::string& body, unsigned threads = 32, size_t shared_bytes = 0,
                               const std::string& outside = "");

}  // namespace ptx
