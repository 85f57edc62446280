// NCCL, looked for when the program runs, as cuBLASLt is (cublaslt.cuh). What is needed of NVIDIA's nccl.h is declared
// here (dev/test/kernels/exchange.cu compares), so a build needs neither header nor library.
#pragma once
#include <cuda_runtime.h>
#include <dlfcn.h>
#include <cstdlib>
#include <memory>
#include <string>
#include <type_traits>

using NcclStatus = int;
constexpr NcclStatus nccl_success = 0;
enum class NcclType : int { fp32 = 7, bf16 = 9 };
constexpr int nccl_sum = 0;
struct NcclId {
    char bytes[128];
};
using NcclComm = struct NcclOpaqueComm*;

struct Nccl {
    const char* (*status_text)(NcclStatus);
    NcclStatus (*new_id)(NcclId*);
    NcclStatus (*join)(NcclComm*, int size, NcclId, int rank);
    NcclStatus (*leave)(NcclComm);
    NcclStatus (*reduce_scatter)(const void* send, void* receive, size_t received, NcclType, int how, NcclComm,
                                 cudaStream_t);
    NcclStatus (*all_gather)(const void* send, void* receive, size_t sent, NcclType, NcclComm, cudaStream_t);
};

// Fills the table by find(name); gives the first name that is not there, or null.
template <class Find>
const char* fill(Nccl& table, Find find) {
    const char* missing = nullptr;
    const auto get = [&](auto& function, const char* name) {
        void* const address = find(name);
        if (!address && !missing) missing = name;
        function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(address);
    };
    get(table.status_text, "ncclGetErrorString");
    get(table.new_id, "ncclGetUniqueId");
    get(table.join, "ncclCommInitRank");
    get(table.leave, "ncclCommDestroy");
    get(table.reduce_scatter, "ncclReduceScatter");
    get(table.all_gather, "ncclAllGather");
    return missing;
}

// No table: and why.
struct NcclFound {
    std::unique_ptr<const Nccl> table;
    std::string reason;
};

// `file` as dlopen takes it: a path, or a name for the folders that the system's loader knows.
inline NcclFound load_nccl(const std::string& file) {
    void* const library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        const char* const why = dlerror();
        return {nullptr, why ? why : file + " was not found"};
    }
    auto table = std::make_unique<Nccl>();
    if (const char* missing = fill(*table, [=](const char* name) { return dlsym(library, name); }))
        return {nullptr, file + " has no " + missing};
    return {std::move(table), ""};
}

// The machine's own: the file that GPT_NCCL names, else where the loader looks.
inline const NcclFound& installed_nccl() {
    static const NcclFound found = [] {
        const char* const named = std::getenv("GPT_NCCL");
        return load_nccl(named && *named ? named : "libnccl.so.2");
    }();
    return found;
}
