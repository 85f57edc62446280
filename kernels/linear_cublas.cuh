// The matmuls of linear.cuh through cuBLASLt, where there is one: c (M,N) = a . b over k, with what its epilogues can
// add. cuBLASLt is column-major: its D = A B is our c transposed, its A our b, its B our a.
//
// A description and an algorithm are kept per shape. Of cuBLASLt's first proposals the fastest is taken,
// measured once, among those that give the bits of the first: timing may not change results. What it refuses, our own
// kernels do.
#pragma once
#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <tuple>
#include "host/reference/linear.h"
#include "kernels/tools/cublaslt.cuh"
#include "linear_operand.cuh"
#include "linear_time.cuh"

// What follows a product, in the fields that are not null:  before = product + bias, c = gelu(before);  or with
// slope_of, c = product * gelu'(slope_of);  else c = product + bias, added to c where it adds.
template <class T>
struct LinearThen {
    const T* bias = nullptr;
    T* before = nullptr;
    const T* slope_of = nullptr;
    Into into = Into::assign;
};

constexpr size_t cublas_workspace = size_t(32) << 20;  // what cuBLAS's documentation advises for Hopper

// True if it is done, false if cuBLASLt refuses.
inline bool cublas_accepts(const CublasLt& lt, CublasStatus status, const char* call) {
    using enum CublasStatus;
    if (status == success) return true;
    if (status == invalid_value || status == not_supported || status == arch_mismatch) return false;
    throw Error(Exit::device, "cuBLAS", std::string("`") + call + "` failed, " + lt.status_text(status),
                "--gemm native does without it");
}
#define CUBLAS(call) cublas_accepts(lt, lt.call, #call)

struct CublasShape {
    int M, N, K;
    Along a, b;
    CublasType storage, out;
    CublasEpilogue epilogue;
    Into into;
    bool operator<(const CublasShape& other) const { return fields() < other.fields(); }

private:
    std::tuple<int, int, int, Along, Along, CublasType, CublasType, CublasEpilogue, Into> fields() const {
        return {M, N, K, a, b, storage, out, epilogue, into};
    }
};

// A product of a shape as cuBLASLt describes it, and, once it is known, how it is done.
// Without proposals it is refused.
class CublasPlan {
    template <class Handle>
    using Owner = std::unique_ptr<std::remove_pointer_t<Handle>, CublasStatus (*)(Handle)>;
    const CublasLt& lt;
    Owner<CublasProduct> product{nullptr, lt.product_destroy};
    Owner<CublasLayout> a{nullptr, lt.layout_destroy}, b{nullptr, lt.layout_destroy}, c{nullptr, lt.layout_destroy};

public:
    bool described = false;                   // else cuBLASLt refused some of it
    std::vector<CublasAlgorithm> algorithms;  // the first is taken; the others where that one fails

    CublasPlan(const CublasLt& lt, const CublasShape& p) : lt(lt) {
        // cuBLASLt's A is b as columns of k (to be transposed if b lies along k); its B is a.
        const auto op = [](bool transposed) { return transposed ? CublasOp::transpose : CublasOp::none; };
        const auto layout = [&](Owner<CublasLayout>& owner, CublasType type, int rows, int columns, bool transposed) {
            if (transposed) std::swap(rows, columns);
            CublasLayout made = nullptr;
            const bool done = CUBLAS(layout_create(&made, type, uint64_t(rows), uint64_t(columns), rows));
            return owner.reset(made), done;
        };
        CublasProduct made = nullptr;  // fp32 stays fp32: no TF32
        const bool created = CUBLAS(product_create(&made, cublas_compute_fp32, CublasType::fp32));
        product.reset(made);
        described = created && set(CublasSetting::op_a, op(p.b == Along::k)) &&
                    set(CublasSetting::op_b, op(p.a != Along::k)) && set(CublasSetting::epilogue, p.epilogue) &&
                    layout(a, p.storage, p.N, p.K, p.b == Along::k) &&
                    layout(b, p.storage, p.K, p.M, p.a == Along::outer) && layout(c, p.out, p.N, p.M, false);
    }

    template <class Value>
    bool set(CublasSetting what, const Value& value) {
        return CUBLAS(product_set(product.get(), what, &value, sizeof value));
    }
    template <class T>
    bool set(const LinearThen<T>& then, int N) {
        const T* aux = then.slope_of ? then.slope_of : then.before;
        return (!then.bias || set(CublasSetting::bias, then.bias)) &&
               (!aux || (set(CublasSetting::aux, aux) && set(CublasSetting::aux_ld, int64_t(N))));
    }
    CublasStatus multiply(CublasHandle handle, const CublasAlgorithm& algorithm, void* out, const void* x,
                          const void* y, Into into, void* workspace, cudaStream_t stream) const {
        const float one = 1, old = into == Into::add;
        return lt.multiply(handle, product.get(), &one, y, a.get(), x, b.get(), &old, out, c.get(), out, c.get(),
                           &algorithm, workspace, cublas_workspace, stream);
    }

    // Fills `algorithms`, best first by cuBLASLt's own judgement. None of them adds in an order that changes. What the
    // epilogue reads and writes must be set before: without the place of GELU's input an H100 was given algorithms for
    // its gradient that took three times as long.
    void propose(CublasHandle handle) {
        CublasPreference made = nullptr;
        if (!CUBLAS(preference_create(&made))) return;
        const Owner<CublasPreference> wish(made, lt.preference_destroy);
        const auto set = [&](CublasWish what, const auto& value) {
            return CUBLAS(preference_set(wish.get(), what, &value, sizeof value));
        };
        constexpr uint32_t alignment = 16;
        if (!set(CublasWish::workspace, cublas_workspace) || !set(CublasWish::reduction_schemes, cublas_reduce_in_fp32))
            return;
        for (CublasWish what :
             {CublasWish::alignment_a, CublasWish::alignment_b, CublasWish::alignment_c, CublasWish::alignment_d})
            if (!set(what, alignment)) return;
        std::array<CublasProposal, 8> all{};
        int count = 0;
        if (!CUBLAS(propose(handle, product.get(), a.get(), b.get(), c.get(), c.get(), wish.get(), int(all.size()),
                            all.data(), &count)))
            return;
        for (int i = 0; i < count; i++)
            if (all[i].status == CublasStatus::success) algorithms.push_back(all[i].algorithm);
    }
};

// Of one device.
class CublasPlans {
    const CublasLt& lt;
    std::map<CublasShape, CublasPlan> plans;

public:
    CublasHandle handle = nullptr;

    explicit CublasPlans(const CublasLt& lt) : lt(lt) {
        if (!CUBLAS(create(&handle)))
            throw Error(Exit::device, "cuBLAS", "it refuses this GPU", "--gemm native does without it");
    }
    CublasPlans(const CublasPlans&) = delete;
    ~CublasPlans() { lt.destroy(handle); }

    // A new one is kept when choose(plan), which may throw, is done with it.
    template <class Choose>
    CublasPlan& of(const CublasShape& shape, Choose choose) {
        if (const auto found = plans.find(shape); found != plans.end()) return found->second;
        CublasPlan plan(lt, shape);
        if (plan.described) choose(plan);
        return plans.emplace(shape, std::move(plan)).first->second;
    }
};

// Puts the fastest algorithm with the bits of the first that works before the others; those that fail leave. Runs on
// numbers of its own: of zeros every order gives the same bits. Without memory for it the order stays as it is: the
// bits are the same. run(algorithm, out, a, b) does the product.
template <class Out, class T, class Run>
void choose_algorithm(std::vector<CublasAlgorithm>& all, size_t c, size_t a, size_t b, Run run, const Gpu<T>& on) {
    const LinearTrial<T, Out> trial(c, a, b, on);
    if (!trial.fits()) return;
    const auto once = [&](const CublasAlgorithm& algorithm, Out* out) {
        return run(algorithm, out, trial.a, trial.b) == CublasStatus::success;
    };
    std::vector<CublasAlgorithm> working;
    std::vector<float> least;  // seconds; infinite: of other bits
    for (const CublasAlgorithm& algorithm : all) {
        Out* const out = working.empty() ? trial.want : trial.got;
        trial.clear(out);
        if (!once(algorithm, out)) continue;
        working.push_back(algorithm);
        least.push_back(out == trial.want || trial.same() ? std::numeric_limits<float>::max() : INFINITY);
    }
    // In both directions, so that a temporary slowdown of the GPU (say, of its clock) is not blamed on one algorithm.
    const auto time = [&](size_t i) {
        if (least[i] < INFINITY) least[i] = std::min(least[i], seconds_of([&] { once(working[i], trial.got); }, on));
    };
    for (size_t i = 0; i < working.size(); i++) time(i);
    for (size_t i = working.size(); i-- > 0;) time(i);
    if (!working.empty()) std::swap(working[0], working[std::ranges::min_element(least) - least.begin()]);
    all = std::move(working);
}

template <class T>
const CublasLt* cublas_of(const Gpu<T>& on) {
    if (on.gemm == Gemm::native) return nullptr;
    return on.cublas ? on.cublas : installed_cublas().table.get();
}

// False, and nothing is done, where cuBLAS is not to be used, or cannot do it.
template <class Out, class A, class B, class T>
bool linear_cublas(Out* c, const A& a, const B& b, int K, const LinearThen<T>& then, const Gpu<T>& on) {
    const CublasLt* lt = cublas_of(on);
    if (!lt) return false;
    if constexpr (A::along == Along::k && B::along == Along::k)
        if (a.outers <= linear_few) return false;  // linear_few.cuh gives a row the same bits in any batch
    constexpr auto type = [](auto* p) {
        return std::is_same_v<decltype(p), float*> ? CublasType::fp32 : CublasType::bf16;
    };
    const auto epilogue = then.slope_of              ? CublasEpilogue::dgelu
                          : then.before && then.bias ? CublasEpilogue::gelu_aux_bias
                          : then.before              ? CublasEpilogue::gelu_aux
                          : then.bias                ? CublasEpilogue::bias
                                                     : CublasEpilogue::none;
    const int M = a.outers, N = b.outers;
    char* workspace = on.template scratch<char>(cublas_workspace);
    CublasPlans& plans = on.template kept<CublasPlans>(*lt);
    const CublasShape shape{M, N, K, A::along, B::along, type(static_cast<T*>(nullptr)), type(c), epilogue, then.into};
    CublasPlan& plan = plans.of(shape, [&](CublasPlan& made) {
        if (!made.set(then, N)) return;
        made.propose(plans.handle);
        if (made.algorithms.size() > 1 && linear_worth_timing(M, N, K, on))
            choose_algorithm<Out>(
                made.algorithms, size_t(M) * N, size_t(M) * K, size_t(N) * K,
                [&](const CublasAlgorithm& algorithm, Out* out, const T* x, const T* y) {
                    return made.multiply(plans.handle, algorithm, out, x, y, then.into, workspace, on.stream);
                },
                on);
    });
    if (plan.algorithms.empty() || !plan.set(then, N)) return false;
    Timeline* timeline = on.timeline();
    if (timeline) timeline->begin("linear_cublas", on.stream);
    while (!plan.algorithms.empty() && plan.multiply(plans.handle, plan.algorithms[0], c, a.data, b.data, then.into,
                                                     workspace, on.stream) != CublasStatus::success)
        plan.algorithms.erase(plan.algorithms.begin());
    if (timeline) timeline->end(on.stream);
    return !plan.algorithms.empty();
}

template <class T>
bool uses_cublas(const Gpu<T>& on) {
    return cublas_of(on);
}

// On 9.0 to 10.x cuBLAS has tensor-core instructions that linear_tensor.cuh does not use. Which is faster is a fixed
// rule, never measured while the program runs, as they give different bits.
template <class T>
bool cublas_is_ahead(const Gpu<T>& on) {
    return on.capability >= 90 && on.capability < 110;
}

// cuBLAS's GELU is faster in one kernel with the matmul there, slower elsewhere. bf16 only: it is exact to 2^-11.
template <class T>
bool cublas_fuses_gelu(const Gpu<T>& on) {
    return uses_cublas(on) && cublas_is_ahead(on);
}

// n elements of scratch memory that a matmul leaves alone: cuBLAS's workspace lies before them.
template <class T>
T* linear_scratch(size_t n, const Gpu<T>& on) {
    return reinterpret_cast<T*>(on.template scratch<char>(cublas_workspace + n * sizeof(T)) + cublas_workspace);
}
