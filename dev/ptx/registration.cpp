// What nvcc's objects register before main, in place of libcudart's books.
#include <cstdlib>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>
#include "dev/simt/kernels.h"
#include "fat_binary.h"
#include "host/base/error.h"
#include "host_runtime.h"
#include "program.h"

namespace ptx {
namespace {

struct Object {  // of nvcc
    const void* wrapper;
    bool has_kernels = false;
    std::shared_ptr<Module> module{};  // null: not loaded yet
};
struct Function {
    Object* object;
    Entry entry;  // its kernel is null until the module is loaded
};
struct Program {
    std::mutex mutex;
    std::vector<std::unique_ptr<Object>> objects;
    std::unordered_map<const void*, Function> functions;
    std::unordered_map<const void*, std::string> variables;
};
Program& program() {  // needed before main and until the very end
    static Program* p = new Program;
    return *p;
}

// What f does, with the reason of a failure as an Error.
template <class F>
auto with_error(F f) {
    try {
        return f();
    } catch (const Error&) { throw; } catch (const std::runtime_error& error) {
        throw Error(Exit::device, "PTX", error.what());
    }
}

FatBinary binary_of(const Object& object) {
    return with_error([&] { return read_fat_binary(object.wrapper); });
}

std::shared_ptr<Module> load(const Object& object) {
    const FatBinary binary = binary_of(object);
    std::string text(ptx_for(target(), binary));
    return with_error([&] { return Module::load(std::move(text), binary.source); });
}

std::string choose_target() {
    if (const char* asked = std::getenv("PTX_TARGET"); asked && *asked) return asked;
    std::string highest;
    for (const auto& object : program().objects)
        if (const std::string its = highest_target(binary_of(*object)); is_above(its, highest)) highest = its;
    return highest;
}

[[noreturn]] void refuse_variable(const void* variable) {
    const auto known = program().variables.find(variable);
    throw Error(Exit::device, "device variable " + (known == program().variables.end() ? "" : known->second),
                "the host cannot reach the device's variables here", "hand kernels a pointer instead");
}

const simt::KernelOwner owner{"ptx (CPU)", [] { return target().empty() ? 90 : std::atoi(target().c_str()); },
                              [](const void* function) {
                                  const Entry* entry = entry_at(function);
                                  if (!entry) return simt::KernelCode{};
                                  return kernel_code(*entry->kernel, entry->name);
                              },
                              true};

}  // namespace

const std::string& target() {
    static const std::string it = [] {
        const std::string chosen = choose_target();
        for (const auto& object : program().objects)
            if (object->has_kernels) ptx_for(chosen, binary_of(*object));
        return chosen;
    }();
    return it;
}

const Entry* entry_at(const void* address) {
    Program& p = program();
    const std::lock_guard lock(p.mutex);
    const auto it = p.functions.find(address);
    if (it == p.functions.end()) return nullptr;
    Function& f = it->second;
    if (f.entry.kernel) return &f.entry;
    if (!f.object->module) f.object->module = load(*f.object);
    f.entry.kernel = f.object->module->find(f.entry.name);
    if (!f.entry.kernel) throw Error(Exit::device, "PTX", "there is no entry " + f.entry.name + " in it");
    return &f.entry;
}

}  // namespace ptx

using namespace ptx;

void** __cudaRegisterFatBinary(void* wrapper) {
    simt::set_kernel_owner(&owner);
    auto& objects = program().objects;
    objects.push_back(std::make_unique<Object>(Object{wrapper}));
    return reinterpret_cast<void**>(objects.back().get());
}
void __cudaRegisterFatBinaryEnd(void**) {}
void __cudaUnregisterFatBinary(void**) {}
char __cudaInitModule(void**) { return 1; }

// A template's kernel may be in several objects: they are all the same.
void __cudaRegisterFunction(void** object, const char* function, char*, const char* name, int, uint3*, uint3*, dim3*,
                            dim3*, int*) {
    Object* const its = reinterpret_cast<Object*>(object);
    its->has_kernels = true;
    program().functions.try_emplace(function, Function{its, {nullptr, name}});
}
void __cudaRegisterVar(void**, char* variable, char*, const char* name, int, size_t, int, int) {
    program().variables[variable] = name;
}
void __cudaRegisterManagedVar(void**, void** variable, char*, const char* name, int, size_t, int, int) {
    program().variables[variable] = name;
}

cudaError_t cudaGetSymbolAddress(void**, const void* variable) { refuse_variable(variable); }
cudaError_t cudaGetSymbolSize(size_t*, const void* variable) { refuse_variable(variable); }
cudaError_t cudaMemcpyToSymbol(const void* variable, const void*, size_t, size_t, cudaMemcpyKind) {
    refuse_variable(variable);
}
cudaError_t cudaMemcpyFromSymbol(void*, const void* variable, size_t, size_t, cudaMemcpyKind) {
    refuse_variable(variable);
}
cudaError_t cudaMemcpyToSymbolAsync(const void* variable, const void*, size_t, size_t, cudaMemcpyKind, cudaStream_t) {
    refuse_variable(variable);
}
cudaError_t cudaMemcpyFromSymbolAsync(void*, const void* variable, size_t, size_t, cudaMemcpyKind, cudaStream_t) {
    refuse_variable(variable);
}
