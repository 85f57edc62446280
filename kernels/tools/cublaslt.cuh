// cuBLASLt, looked for when the program runs: it starts on a machine that has the driver alone. What is needed of
// NVIDIA's cublasLt.h is declared here; versions 12 and 13 agree on it (dev/test/kernels/linear_cublas.cu compares), so
// a build needs neither header nor library, and dev/simt can play cuBLASLt.
#pragma once
#include <cuda_runtime.h>
#include <filesystem>
#include <string>
#include <vector>
#include "device.cuh"
#include "host/base/library.h"
#include "host/reference/cpu.h"

enum class CublasStatus : int { success = 0, invalid_value = 7, arch_mismatch = 8, not_supported = 15 };
enum class CublasType : int { fp32 = 0, bf16 = 14 };
enum class CublasOp : int { none = 0, transpose = 1 };
enum class CublasEpilogue : int { none = 1, bias = 4, gelu_aux = 160, gelu_aux_bias = 164, dgelu = 192 };
enum class CublasSetting : int { op_a = 3, op_b = 4, epilogue = 7, bias = 8, aux = 11, aux_ld = 12 };
enum class CublasWish : int {
    workspace = 1,
    reduction_schemes = 3,
    alignment_a = 5,
    alignment_b,
    alignment_c,
    alignment_d
};
constexpr int cublas_compute_fp32 = 68;
constexpr uint32_t cublas_reduce_in_fp32 = 2;

struct CublasAlgorithm {
    uint64_t data[8];
};
struct CublasProposal {
    CublasAlgorithm algorithm;
    size_t workspace;
    CublasStatus status;
    float waves;
    int reserved[4];
};
using CublasHandle = struct CublasOpaqueHandle*;
using CublasProduct = struct CublasOpaqueProduct*;
using CublasLayout = struct CublasOpaqueLayout*;
using CublasPreference = struct CublasOpaquePreference*;

struct CublasLt {
    using Status = CublasStatus;
    size_t (*version)();
    const char* (*status_text)(Status);
    Status (*create)(CublasHandle*);
    Status (*destroy)(CublasHandle);
    Status (*product_create)(CublasProduct*, int compute, CublasType scale);
    Status (*product_destroy)(CublasProduct);
    Status (*product_set)(CublasProduct, CublasSetting, const void* value, size_t bytes);
    Status (*layout_create)(CublasLayout*, CublasType, uint64_t rows, uint64_t columns, int64_t ld);
    Status (*layout_destroy)(CublasLayout);
    Status (*preference_create)(CublasPreference*);
    Status (*preference_destroy)(CublasPreference);
    Status (*preference_set)(CublasPreference, CublasWish, const void* value, size_t bytes);
    Status (*propose)(CublasHandle, CublasProduct, CublasLayout a, CublasLayout b, CublasLayout c, CublasLayout d,
                      CublasPreference, int most, CublasProposal*, int* count);
    Status (*multiply)(CublasHandle, CublasProduct, const void* alpha, const void* a, CublasLayout, const void* b,
                       CublasLayout, const void* beta, const void* c, CublasLayout, void* d, CublasLayout,
                       const CublasAlgorithm*, void* workspace, size_t bytes, cudaStream_t);
};

// Fills the table by find(name); gives the first name that is not there, or null.
template <class Find>
const char* fill(CublasLt& table, Find find) {
    FunctionFinder get(find);
    get(table.version, "cublasLtGetVersion");
    get(table.status_text, "cublasLtGetStatusString");
    get(table.create, "cublasLtCreate");
    get(table.destroy, "cublasLtDestroy");
    get(table.product_create, "cublasLtMatmulDescCreate");
    get(table.product_destroy, "cublasLtMatmulDescDestroy");
    get(table.product_set, "cublasLtMatmulDescSetAttribute");
    get(table.layout_create, "cublasLtMatrixLayoutCreate");
    get(table.layout_destroy, "cublasLtMatrixLayoutDestroy");
    get(table.preference_create, "cublasLtMatmulPreferenceCreate");
    get(table.preference_destroy, "cublasLtMatmulPreferenceDestroy");
    get(table.preference_set, "cublasLtMatmulPreferenceSetAttribute");
    get(table.propose, "cublasLtMatmulAlgoGetHeuristic");
    get(table.multiply, "cublasLtMatmul");
    return get.missing;
}

constexpr int cublas_major = CUDART_VERSION / 1000;  // the one that goes with the CUDA of this build
inline std::string cublas_file() { return "libcublasLt.so." + std::to_string(cublas_major); }

using CublasFound = LibraryFound<CublasLt>;
inline CublasFound load_cublas(const std::string& file) {
    CublasFound found = load_library<CublasLt>(file);
    if (!found.table) return found;
    const size_t version = found.table->version() / 10000;
    if (version == cublas_major) return found;
    return {nullptr,
            file + " is of CUDA " + std::to_string(version) + ", this program of " + std::to_string(cublas_major)};
}

// `named`, GPT_CUBLASLT: the library or its folder, and then no other; may be null. Else where the loader looks, which
// is LD_LIBRARY_PATH before all, then in `folders`.
inline CublasFound find_cublas(const char* named, const std::vector<std::string>& folders) {
    if (named && *named) {
        const bool folder = std::filesystem::is_directory(named);
        return load_cublas(folder ? std::string(named) + "/" + cublas_file() : named);
    }
    CublasFound first = load_cublas(cublas_file());
    for (const std::string& folder : folders) {
        if (first.table) break;
        if (CublasFound found = load_cublas(folder + "/" + cublas_file()); found.table) return found;
    }
    return first;
}

// The machine's own, loaded when first asked for (half a gigabyte). It would compute on a real GPU, and cannot use the
// memory of a simulated one.
inline const CublasFound& installed_cublas() {
    static const CublasFound found = [] {
        if (on_simulated_device()) return CublasFound{nullptr, "this build's kernels run on the CPU"};
        std::vector<std::string> folders = {"/usr/local/cuda/lib64"};
#ifdef GPT_TOOLKIT  // that of the build
        folders.insert(folders.begin(), GPT_TOOLKIT "/lib64");
#endif
        return find_cublas(std::getenv("GPT_CUBLASLT"), folders);
    }();
    return found;
}

// Whose matmuls a command uses. `warn` gets a line if they could be cuBLASLt's and are not.
template <class Find, class Warn>
Gemm settle_gemm(Gemm wanted, Find find, Warn warn) {
    if (wanted == Gemm::native) return wanted;
    const CublasFound& found = find();
    if (found.table) return wanted;
    const std::string hint = "GPT_CUBLASLT=FOLDER names the one of " + cublas_file();
    if (wanted == Gemm::cublas)
        throw Error(Exit::device, "--gemm cublas", found.reason, hint + "; --gemm native needs none");
    warn("cuBLASLt: " + found.reason + ": matmuls are our own, which are slower on most GPUs; " + hint);
    return Gemm::native;
}
