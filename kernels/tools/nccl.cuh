// NCCL, looked for when the program runs, as cuBLASLt is (cublaslt.cuh). What is needed of NVIDIA's nccl.h is declared
// here (dev/test/kernels/exchange.cu compares), so a build needs neither header nor library.
#pragma once
#include <cuda_runtime.h>
#include <cstdlib>
#include <string>
#include "host/base/library.h"

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
    FunctionFinder get(find);
    get(table.status_text, "ncclGetErrorString");
    get(table.new_id, "ncclGetUniqueId");
    get(table.join, "ncclCommInitRank");
    get(table.leave, "ncclCommDestroy");
    get(table.reduce_scatter, "ncclReduceScatter");
    get(table.all_gather, "ncclAllGather");
    return get.missing;
}

using NcclFound = LibraryFound<Nccl>;
inline NcclFound load_nccl(const std::string& file) { return load_library<Nccl>(file); }

// The machine's own: the file that GPT_NCCL names, else where the loader looks.
inline const NcclFound& installed_nccl() {
    static const NcclFound found = [] {
        const char* const named = std::getenv("GPT_NCCL");
        return load_nccl(named && *named ? named : "libnccl.so.2");
    }();
    return found;
}
