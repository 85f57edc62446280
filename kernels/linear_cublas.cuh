// The products of linear.cuh through cuBLASLt, in builds by nvcc that find it: c (M,N) = a . b over k, with what its
// epilogues can add. cuBLASLt counts columns first: its D = A B is our c transposed, its A our b, its B our a.
//
// A product's description and algorithm are kept per shape. Of cuBLASLt's first proposals the fastest is taken,
// measured once, among those that give the bits of the first: timing may not change results. Not run on a GPU yet.
#pragma once
#include "../host/reference/linear.h"
#include "linear_operand.cuh"
#ifdef GPT_CUBLAS
#include <cublasLt.h>
#include <algorithm>
#include <map>
#include <tuple>
#endif

// What follows a product, in the fields that are not null:  before = product + bias, c = gelu(before);  or with
// slope_of, c = product * gelu'(slope_of);  else c = product + bias + add, where add may be c.
template <class T, class Out>
struct LinearThen {
    const T* bias = nullptr;
    T* before = nullptr;
    const T* slope_of = nullptr;
    const Out* add = nullptr;
};

#ifndef GPT_CUBLAS
constexpr size_t cublas_workspace = 0;
template <class Out, class A, class B, class T>
bool linear_cublas(Out*, const A&, const B&, int, const LinearThen<T, Out>&, const Gpu<T>&) { return false; }
#else
constexpr size_t cublas_workspace = size_t(32) << 20;          // what cuBLAS's documentation advises for Hopper

inline void check_cublas(cublasStatus_t status, const char* call) {
    if (status == CUBLAS_STATUS_SUCCESS) return;
    throw Error(Exit::device, "cuBLAS", std::string("`") + call + "` failed, " + cublasLtGetStatusString(status),
                "--gemm native does without it");
}
#define CUBLAS(call) check_cublas(call, #call)

struct CublasProduct {
    int M, N, K;
    Along a, b;
    cudaDataType storage, out;
    cublasLtEpilogue_t epilogue;
    bool adds, in_place;                                       // add is not null; and is c
    bool operator<(const CublasProduct& other) const { return fields() < other.fields(); }

private:
    std::tuple<int, int, int, Along, Along, cudaDataType, cudaDataType, cublasLtEpilogue_t, bool, bool> fields() const {
        return {M, N, K, a, b, storage, out, epilogue, adds, in_place};
    }
};

struct CublasPlan {
    cublasLtMatmulDesc_t product = nullptr;
    cublasLtMatrixLayout_t a = nullptr, b = nullptr, c = nullptr;
    cublasLtMatmulAlgo_t algorithm{};
    enum class State { unknown, chosen, refused } state = State::unknown;
};

// Of one device.
class CublasPlans {
public:
    cublasLtHandle_t handle = nullptr;

    CublasPlans() { CUBLAS(cublasLtCreate(&handle)); }
    CublasPlans(const CublasPlans&) = delete;
    ~CublasPlans() {
        for (auto& [key, p] : plans) {
            for (cublasLtMatrixLayout_t layout : {p.a, p.b, p.c}) cublasLtMatrixLayoutDestroy(layout);
            cublasLtMatmulDescDestroy(p.product);
        }
        cublasLtDestroy(handle);
    }

    CublasPlan& of(const CublasProduct& p) {
        CublasPlan& plan = plans[p];
        if (plan.product) return plan;
        // cuBLASLt's A is b as columns of k (to be transposed if b lies along k); its B is a.
        const cublasOperation_t first = p.b == Along::k ? CUBLAS_OP_T : CUBLAS_OP_N,
                                second = p.a == Along::k ? CUBLAS_OP_N : CUBLAS_OP_T;
        CUBLAS(cublasLtMatmulDescCreate(&plan.product, CUBLAS_COMPUTE_32F, CUDA_R_32F));   // fp32 stays fp32: no TF32
        set(plan, CUBLASLT_MATMUL_DESC_TRANSA, first);
        set(plan, CUBLASLT_MATMUL_DESC_TRANSB, second);
        set(plan, CUBLASLT_MATMUL_DESC_EPILOGUE, p.epilogue);
        const auto layout = [](cublasLtMatrixLayout_t& l, cudaDataType type, int rows, int columns, bool transposed) {
            if (transposed) std::swap(rows, columns);
            CUBLAS(cublasLtMatrixLayoutCreate(&l, type, uint64_t(rows), uint64_t(columns), rows));
        };
        layout(plan.a, p.storage, p.N, p.K, p.b == Along::k);
        layout(plan.b, p.storage, p.K, p.M, p.a == Along::outer);
        layout(plan.c, p.out, p.N, p.M, false);
        return plan;
    }

    template <class Value> static void set(CublasPlan& plan, cublasLtMatmulDescAttributes_t what, const Value& value) {
        CUBLAS(cublasLtMatmulDescSetAttribute(plan.product, what, &value, sizeof value));
    }

private:
    std::map<CublasProduct, CublasPlan> plans;
};

template <int block>
__global__ void cublas_differs_kernel(int* differs, const uint32_t* x, const uint32_t* y, size_t words) {
    for (size_t i = size_t(blockIdx.x) * block + threadIdx.x; i < words; i += size_t(gridDim.x) * block)
        if (x[i] != y[i]) *differs = 1;                        // whoever is last: all write the same
}

// Algorithms for a plan, best first by cuBLASLt's own judgement; none where it cannot do this one. None of them adds in
// an order that changes.
struct CublasProposals {
    cublasLtMatmulHeuristicResult_t proposal[8];
    int count = 0;
};
inline CublasProposals cublas_proposals(const CublasPlans& plans, const CublasPlan& plan) {
    constexpr uint32_t alignment = 16, schemes = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
    cublasLtMatmulPreference_t wish = nullptr;
    CUBLAS(cublasLtMatmulPreferenceCreate(&wish));
    const auto set = [&](cublasLtMatmulPreferenceAttributes_t what, const auto& value) {
        CUBLAS(cublasLtMatmulPreferenceSetAttribute(wish, what, &value, sizeof value));
    };
    set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, cublas_workspace);
    set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, schemes);
    for (auto what : {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
                      CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
        set(what, alignment);
    CublasProposals found;
    const int most = int(std::size(found.proposal));
    const cublasStatus_t status =
        cublasLtMatmulAlgoGetHeuristic(plans.handle, plan.product, plan.a, plan.b, plan.c, plan.c, wish, most,
                                       found.proposal, &found.count);
    cublasLtMatmulPreferenceDestroy(wish);
    if (status == CUBLAS_STATUS_NOT_SUPPORTED) return {};
    CUBLAS(status);
    const auto end = std::remove_if(found.proposal, found.proposal + found.count,
                                    [](const auto& one) { return one.state != CUBLAS_STATUS_SUCCESS; });
    found.count = int(end - found.proposal);
    return found;
}

// The fastest of the proposals with the first one's bits. run(algorithm, output) does the product. Without memory for
// two outputs, or while a graph is recorded, the first itself: the bits are the same.
template <class T, class Run>
cublasLtMatmulAlgo_t cublas_fastest(const CublasProposals& from, size_t bytes, Run run, const Gpu<T>& on) {
    constexpr int repeats = 5, block = 256;
    cudaStreamCaptureStatus recording;
    CUDA(cudaStreamIsCapturing(on.stream, &recording));
    if (recording != cudaStreamCaptureStatusNone || from.count == 1) return from.proposal[0].algo;
    void* memory = nullptr;
    if (cudaMalloc(&memory, 2 * bytes + 256) != cudaSuccess) {
        cudaGetLastError();                                    // it is not remembered against a later call
        return from.proposal[0].algo;
    }
    const std::shared_ptr<void> owner(memory, [](void* p) { cudaFree(p); });
    char *want = static_cast<char*>(memory), *got = want + bytes;
    int* differs = reinterpret_cast<int*>(want + 2 * bytes);
    cudaEvent_t begin, end;
    CUDA(cudaEventCreate(&begin));
    CUDA(cudaEventCreate(&end));
    int best = 0;
    float least = INFINITY;
    on.zero(want, 2 * bytes + 256);                            // what is added to, where the product adds
    run(from.proposal[0].algo, want);
    for (int i = 0; i < from.count; i++) {
        on.zero(got, bytes + 256);
        run(from.proposal[i].algo, got);
        launch(cublas_differs_kernel<block>, 4 * on.sm_count, block, 0, on, differs, reinterpret_cast<uint32_t*>(want),
               reinterpret_cast<uint32_t*>(got), bytes / 4);
        int other_bits = 0;
        on.download(&other_bits, differs, 1);
        if (other_bits) continue;
        CUDA(cudaEventRecord(begin, on.stream));
        for (int r = 0; r < repeats; r++) run(from.proposal[i].algo, got);
        CUDA(cudaEventRecord(end, on.stream));
        CUDA(cudaEventSynchronize(end));
        float time = 0;
        CUDA(cudaEventElapsedTime(&time, begin, end));
        if (time < least) least = time, best = i;
    }
    cudaEventDestroy(begin);
    cudaEventDestroy(end);
    return from.proposal[best].algo;
}

// False, and nothing is done, where cuBLAS is not to be used, or cannot do it.
template <class Out, class A, class B, class T>
bool linear_cublas(Out* c, const A& a, const B& b, int K, const LinearThen<T, Out>& then, const Gpu<T>& on) {
    if (on.gemm == Gemm::native) return false;
    if constexpr (A::along == Along::k && B::along == Along::k)
        if (a.outers <= linear_few) return false;              // linear_few.cuh gives a row the same bits in any batch
    constexpr auto type = [](auto* p) { return std::is_same_v<decltype(p), const float*> ? CUDA_R_32F : CUDA_R_16BF; };
    const auto epilogue = then.slope_of              ? CUBLASLT_EPILOGUE_DGELU
                          : then.before && then.bias ? CUBLASLT_EPILOGUE_GELU_AUX_BIAS
                          : then.before              ? CUBLASLT_EPILOGUE_GELU_AUX
                          : then.bias                ? CUBLASLT_EPILOGUE_BIAS
                                                     : CUBLASLT_EPILOGUE_DEFAULT;
    const int M = a.outers, N = b.outers;
    CublasPlans& plans = on.template kept<CublasPlans>();
    CublasPlan& plan = plans.of({M, N, K, A::along, B::along, type(static_cast<const T*>(nullptr)),
                                 type(static_cast<const Out*>(nullptr)), epilogue, then.add != nullptr, then.add == c});
    if (plan.state == CublasPlan::State::refused) return false;
    if (then.bias) plans.set(plan, CUBLASLT_MATMUL_DESC_BIAS_POINTER, then.bias);
    if (const T* aux = then.slope_of ? then.slope_of : then.before) {
        plans.set(plan, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, aux);
        plans.set(plan, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, int64_t(N));
    }

    const float one = 1, zero = 0;
    char* workspace = on.template scratch<char>(cublas_workspace);
    const auto run = [&](const cublasLtMatmulAlgo_t& algorithm, void* out) {
        const void* add = then.add && then.add != c ? static_cast<const void*>(then.add) : out;
        CUBLAS(cublasLtMatmul(plans.handle, plan.product, &one, b.data, plan.a, a.data, plan.b, then.add ? &one : &zero,
                              add, plan.c, out, plan.c, &algorithm, workspace, cublas_workspace, on.stream));
    };
    if (plan.state == CublasPlan::State::unknown) {
        const CublasProposals proposals = cublas_proposals(plans, plan);
        plan.state = proposals.count ? CublasPlan::State::chosen : CublasPlan::State::refused;
        if (!proposals.count) return false;
        const bool small = double(M) * N * K < 0x1p31;         // a sample's, of another length every time: not worth it
        plan.algorithm = small ? proposals.proposal[0].algo
                               : cublas_fastest(proposals, size_t(M) * N * sizeof(Out), run, on);
    }
    Timeline* timeline = on.timeline();
    if (timeline) timeline->begin("linear_cublas", on.stream);
    run(plan.algorithm, c);
    if (timeline) timeline->end(on.stream);
    return true;
}
#endif

template <class T> bool uses_cublas(const Gpu<T>& on) { return cublas_built && on.gemm != Gemm::native; }

// n elements of scratch memory that stay good across a product: cuBLAS works in front of them.
template <class T>
T* linear_scratch(size_t n, const Gpu<T>& on) {
    return reinterpret_cast<T*>(on.template scratch<char>(cublas_workspace + n * sizeof(T)) + cublas_workspace);
}
