#include "program.h"
#include <algorithm>
#include <stdexcept>

namespace ptx {
namespace {

const simt::KernelOwner* others = nullptr;  // own what tests do not
const Kernel* launched = nullptr;
const std::string* launched_name = nullptr;
const void* launched_address = nullptr;

const simt::KernelOwner owner{"ptx (CPU)", [] { return others->capability(); },
                              [](const void* function) {
                                  if (function != launched_address) return others->code_of(function);
                                  return kernel_code(*launched, *launched_name);
                              },
                              true};

// While one lives, the runtime knows the kernel by an address that no other ever has: it remembers what it has heard of
// one.
struct Known {
    Known(const Kernel* kernel, const std::string& name) {
        others = &simt::kernel_owner();
        launched = kernel, launched_name = &name, launched_address = new char;  // stays
        simt::set_kernel_owner(&owner);
    }
    ~Known() { simt::set_kernel_owner(others); }
};

}  // namespace

Outcome Program::run(const std::string& entry, dim3 grid, dim3 block, size_t shared_bytes, void** arguments) const {
    const Kernel* kernel = module->find(entry);
    if (!kernel) throw std::runtime_error("no entry " + entry);
    const Known known(kernel, entry);
    cudaStream_t stream = nullptr;
    EXPECT_EQ(cudaStreamCreate(&stream), cudaSuccess);
    simt::take_report();
    if (shared_bytes > 48 * 1024)
        cudaFuncSetAttribute(launched_address, cudaFuncAttributeMaxDynamicSharedMemorySize, int(shared_bytes));
    const cudaLaunchConfig_t config{grid, block, shared_bytes, stream, nullptr, 0};
    Outcome o{simt::launch(config, launched_address, call(*kernel, arguments)), ""};
    if (o.error == cudaSuccess) o.error = cudaStreamSynchronize(stream);
    o.said = simt::take_report();
    if (o.error != cudaSuccess) cudaDeviceReset(), cudaGetLastError();
    cudaStreamDestroy(stream);
    return o;
}

std::string entry_text(const std::string& parameters, const std::string& body, const std::string& directives) {
    std::string text = ".visible .entry k(\n" + parameters + "\n)\n" + directives + "\n{\n";
    int line = 1;
    for (size_t from = 0; from < body.size(); line++) {
        const size_t end = std::min(body.find('\n', from), body.size());
        text += ".loc 1 " + std::to_string(line) + " 1\n" + body.substr(from, end - from) + '\n';
        from = end + 1;
    }
    return text + ".loc 1 " + std::to_string(line) + " 1\nret;\n}\n";
}
std::vector<uint32_t> words_of(const std::string& body, unsigned threads, size_t shared_bytes,
                               const std::string& outside) {
    const Device<uint32_t> out(threads);
    OneKernel(".param .u64 out", prelude + body, outside).must(1, threads, shared_bytes, out);
    return out.get();
}
int line_of(const std::string& body, const std::string& what) {
    const size_t at = body.find(what);
    EXPECT_NE(at, body.npos) << what;
    return int(1 + std::count(body.begin(), body.begin() + ptrdiff_t(std::min(at, body.size())), '\n'));
}

}  // namespace ptx
