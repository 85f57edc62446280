// Checks kernels/linear_cublas.cuh and cublaslt.cuh with a library that plays cuBLASLt.
//                                                                     ./test_gpt --gtest_filter='linear_cublas*'
#include <fstream>
#include "dev/test/support/expect_error.h"
#include "dev/test/support/temporary_directory.h"
#include "fake_cublas.cuh"
#include "harness.h"
#include "kernels/linear_fused.cuh"
#if defined(__CUDACC__) && !defined(GPT_NO_CUBLAS_HEADER) && __has_include(<cublasLt.h>)
#include <cublasLt.h>
#endif

namespace {

using Order = FakeAlgorithm::Order;
using enum CublasStatus;

// All of a feed-forward layer and of a plain one, by the fake; more than linear_few rows.
template <class T>
void check(int N, int C, int OC, int capability, Into into = Into::add) {
    Case<T> c("linear_cublas", {{"N", N}, {"C", C}, {"OC", OC}, {"capability", capability}, {"into", long(into)}});
    c.gpu.cublas = &fake_cublas;
    c.gpu.gemm = Gemm::cublas;
    c.gpu.capability = capability;
    c.gpu.into = c.cpu.into = into;
    const size_t wide = size_t(N) * OC;
    auto inp = c.template random<T>("inp", size_t(N) * C), weight = c.template random<T>("weight", size_t(2) * OC * C);
    auto bias = c.template random<T>("bias", size_t(2) * OC);
    auto down = c.template random<T>("down", size_t(C) * OC), d_out = c.template random<T>("d_out", size_t(N) * C);
    auto input = c.template random<T>("input", 2 * wide), act = c.template random<T>("act", wide);
    auto out = c.template fresh<T>("out", wide), d_inp = c.template fresh<T>("d_inp", size_t(N) * OC);
    auto before = c.template fresh<T>("before", wide), gelu = c.template fresh<T>("gelu", wide);
    auto gate_up = c.template fresh<T>("gate_up", 2 * wide), swiglu = c.template fresh<T>("swiglu", wide);
    auto d_before = c.template fresh<T>("d_before", wide), d_gate_up = c.template fresh<T>("d_gate_up", 2 * wide);
    auto bare = c.template fresh<T>("bare", wide);
    const double old = into == Into::add ? 0.5 : NAN;
    auto d_down = c.template fill<float>("d_down", size_t(C) * OC, old),
         d_bias = c.template fill<float>("d_bias", C, old),
         d_before_bias = c.template fill<float>("d_before_bias", OC, old);
    c.run([&](auto on) {
        linear_forward(out(on), inp(on), weight(on), bias(on), N, C, OC, on);
        linear_gelu_forward(gelu(on), before(on), inp(on), weight(on), bias(on), N, C, OC, on);
        linear_gelu_forward(bare(on), d_before(on), inp(on), weight(on), decltype(bias(on)){}, N, C, OC, on);
        linear_swiglu_forward(swiglu(on), gate_up(on), inp(on), weight(on), bias(on), N, C, OC, on);
        linear_backward(d_inp(on), d_down(on), d_bias(on), d_out(on), act(on), down(on), N, OC, C, on);
        gelu_linear_backward(d_before(on), d_down(on), d_bias(on), d_before_bias(on), d_out(on), act(on), input(on),
                             down(on), N, OC, C, on);
        swiglu_linear_backward(d_gate_up(on), d_down(on), d_bias(on), d_out(on), act(on), input(on), down(on), N, OC, C,
                               on);
    });
    c.expect(out, C);
    c.expect(before, C);
    c.expect(gelu, C, {1});
    c.expect(bare, C, {1});
    c.expect(gate_up, C);
    c.expect(swiglu, C, {2});
    c.expect(d_inp, C);
    c.expect(d_before, C, {1});
    c.expect(d_gate_up, C, {1});
    c.expect(d_down, 3 * N);
    c.expect(d_bias, 3 * N);
    c.expect(d_before_bias, N, {4});
}

int count(CublasEpilogue epilogue) { return int(std::ranges::count(fake.calls, epilogue, &Fake::Call::epilogue)); }
int fused_gelus() {
    return count(CublasEpilogue::gelu_aux) + count(CublasEpilogue::gelu_aux_bias) + count(CublasEpilogue::dgelu);
}

// Each starts with a library that does all, and must give back what it took.
struct linear_cublas : testing::Test {
    linear_cublas() { fake = {}; }
    ~linear_cublas() { EXPECT_EQ(fake.alive, 0) << "not given back"; }
};

TEST_F(linear_cublas, kernels) {
    for (const Into into : {Into::add, Into::assign}) {
        check<float>(24, 40, 72, 90, into);
        check<bf16>(24, 40, 72, 90, into);
        check<bf16>(130, 16, 24, 90, into);
    }
    EXPECT_GT(fake.calls.size(), 50u);
}

// fp32's GELU is never cuBLAS's, whose tanh has 11 bits; bf16's where it is fast.
TEST_F(linear_cublas, gelu) {
    check<float>(24, 40, 72, 90);
    EXPECT_EQ(fused_gelus(), 0);
    EXPECT_GT(count(CublasEpilogue::bias), 0);
    struct Row {
        int capability;
        bool fused;
    };
    const Row rows[] = {{80, false}, {89, false}, {90, true}, {100, true}, {103, true}, {120, false}};
    for (auto [capability, fused] : rows) {
        fake.calls.clear();
        check<bf16>(17, 16, 8, capability);
        EXPECT_EQ(fused_gelus(), fused ? 9 : 0) << capability;  // three, three times
    }
}

// SwiGLU is in one kernel with our product where that is no slower: products of cuBLAS's as wide as gate and up tell.
TEST_F(linear_cublas, swiglu) {
    Gpu<bf16> on;
    on.cublas = &fake_cublas;
    struct Row {
        int capability, flops;
        bool fused;
    };
    const Row rows[] = {{90, 1024, true}, {90, 1280, false}, {100, 4096, false},
                        {80, 3072, true}, {80, 8192, false}, {120, 3072, true}};
    for (auto [capability, flops, fused] : rows) {
        on.capability = capability;
        EXPECT_EQ(linear_fuses_swiglu(flops, on), fused) << capability << " " << flops;
    }
    on.gemm = Gemm::native;
    EXPECT_TRUE(linear_fuses_swiglu(1 << 20, on));
}

TEST_F(linear_cublas, failing_proposals_are_skipped) {
    const CublasStatus failed = CublasStatus(13);  // execution failed
    fake.algorithms = {{.status = failed}, {.status = invalid_value}, {}};
    check<bf16>(17, 16, 8, 90);
    for (const Fake::Call& call : fake.calls) EXPECT_EQ(call.algorithm, 2u);
    EXPECT_FALSE(fake.calls.empty());
    fake.calls.clear();
    fake.algorithms = {{.status = failed}};
    check<bf16>(17, 16, 8, 90);  // our own
    EXPECT_TRUE(fake.calls.empty());
}

TEST_F(linear_cublas, a_refusal_is_no_error) {
    for (const char* step : {"product_create", "product_set", "layout_create", "preference_create", "preference_set",
                             "propose", "multiply"}) {
        SCOPED_TRACE(step);
        fake.fails = {{step, not_supported}};
        check<bf16>(17, 16, 8, 90);
    }
    for (const CublasStatus refusal : {invalid_value, arch_mismatch}) {
        fake.fails = {{"propose", refusal}, {"multiply", refusal}};
        check<bf16>(17, 16, 8, 90);
    }
    EXPECT_TRUE(fake.calls.empty());
}

// One line; and what failed half way is made anew when it is asked for again.
TEST_F(linear_cublas, an_error_leaves_nothing_behind) {
    const int n = 64;
    Gpu<float> on;
    on.cublas = &fake_cublas;
    float *out = on.allocate<float>(n * n), *inp = on.allocate<float>(n * n), *weight = on.allocate<float>(n * n);
    const float* none = nullptr;
    for (const char* step : {"create", "product_create", "product_set", "layout_create", "preference_create",
                             "preference_set", "propose"}) {
        SCOPED_TRACE(step);
        fake.fails = {{step, CublasStatus(3)}};
        expect_error(Exit::device, {"cuBLAS", step, "what went wrong", "--gemm native"},
                     [&] { linear_forward(out, inp, weight, none, n, n, n, on); });
        EXPECT_EQ(fake.alive, step == std::string("create") ? 0 : 1) << "only the handle lives on";
    }
    fake.fails.clear();
    linear_forward(out, inp, weight, none, n, n, n, on);
    EXPECT_EQ(fake.calls.size(), 1u);
}

// What choose_algorithm makes of the fake's algorithms, for a product of zeros.
std::vector<size_t> chosen_of(const std::vector<FakeAlgorithm>& algorithms) {
    fake.algorithms = algorithms;
    const int M = 24, N = 32, K = 264;
    Gpu<bf16> on;
    CublasPlans plans(fake_cublas);
    CublasPlan plan(fake_cublas, {M, N, K, Along::k, Along::k, CublasType::bf16, CublasType::fp32, CublasEpilogue::none,
                                  Into::assign});
    plan.propose(plans.handle);
    choose_algorithm<float>(
        plan.algorithms, M * N, M * K, N * K,
        [&](const CublasAlgorithm& algorithm, float* out, const bf16* a, const bf16* b) {
            return plan.multiply(plans.handle, algorithm, out, a, b, Into::assign, nullptr, on.stream);
        },
        on);
    std::vector<size_t> order;
    for (const CublasAlgorithm& a : plan.algorithms) order.push_back(a.data[0]);
    return order;
}

TEST_F(linear_cublas, the_fastest_with_the_same_bits) {
    const FakeAlgorithm slow{.slowness = 40}, fast{}, other{.order = Order::down}, broken{.status = CublasStatus(14)};
    EXPECT_EQ(chosen_of({slow, fast}), (std::vector<size_t>{1, 0}));
    EXPECT_EQ(chosen_of({fast, slow}), (std::vector<size_t>{0, 1}));
    EXPECT_EQ(chosen_of({slow, other}), (std::vector<size_t>{0, 1})) << "it has other bits";
    EXPECT_EQ(chosen_of({broken, slow, other, broken, fast}), (std::vector<size_t>{4, 2, 1}));
    EXPECT_TRUE(chosen_of({broken, broken}).empty());
}

// A small product is not measured, nor one that a timeline watches or a graph records.
TEST_F(linear_cublas, what_is_timed) {
    const Gpu<bf16> on;
    EXPECT_TRUE(linear_worth_timing(2048, 1024, 1024, on));
    EXPECT_FALSE(linear_worth_timing(2040, 1024, 1024, on));
    Timeline timeline;
    on.watch(&timeline);
    EXPECT_FALSE(linear_worth_timing(2048, 1024, 1024, on));
    on.watch(nullptr);
    Gpu<bf16>::Recording recording;
    int timed = 0;
    for (int i = 0; i < 2; i++) on.replay(recording, [&] { timed += linear_worth_timing(2048, 1024, 1024, on); });
    EXPECT_EQ(timed, 1);
}

// ---------------------------------------------------------------------------------------------- the search for it

TEST(cublaslt, is_found_or_the_reason_said) {
    const Temporary at;
    EXPECT_NE(load_cublas("libno_such.so.13").reason.find("libno_such.so.13"), std::string::npos);
    const std::string text = at / cublas_file();
    std::ofstream(text) << "no library\n";
    for (const std::string& named :
         {text, std::filesystem::path(text).parent_path().string()})  // the file, or its folder
        EXPECT_NE(find_cublas(named.c_str(), {}).reason.find(text), std::string::npos)
            << find_cublas(named.c_str(), {}).reason;
    EXPECT_EQ(load_cublas("libm.so.6").reason, "libm.so.6 has no cublasLtGetVersion");
    const CublasFound none = find_cublas("/nowhere", {});
    EXPECT_TRUE(!none.table && none.reason.find("/nowhere") != none.reason.npos) << none.reason;
}

TEST(cublaslt, every_function_is_asked_for) {
    CublasLt table{};
    std::vector<std::string> names;
    EXPECT_EQ(fill(table, [&](const char* name) { return names.push_back(name), reinterpret_cast<void*>(&names); }),
              nullptr);
    EXPECT_EQ(names.size() * sizeof(void*), sizeof table);
    for (const std::string& name : names)
        EXPECT_EQ(fill(table, [&](const char* n) { return name == n ? nullptr : reinterpret_cast<void*>(&names); }),
                  name);
}

TEST(cublaslt, whose_products) {
    const CublasFound none{nullptr, "it is not here"}, some{std::make_unique<CublasLt>(fake_cublas), ""};
    const auto settle = [](Gemm wanted, const CublasFound& found) {
        std::string lines;
        const Gemm gemm = settle_gemm(
            wanted, [&]() -> const CublasFound& { return found; },
            [&](const std::string& line) { lines += line + "\n"; });
        return std::make_pair(gemm, lines);
    };
    EXPECT_EQ(settle(Gemm::automatic, some), std::make_pair(Gemm::automatic, std::string()));
    EXPECT_EQ(settle(Gemm::native, none), std::make_pair(Gemm::native, std::string()));
    EXPECT_EQ(settle(Gemm::automatic, none),
              std::make_pair(Gemm::native,
                             "cuBLASLt: it is not here: matmuls are our own, which are slower on most GPUs; "
                             "GPT_CUBLASLT=FOLDER names the one of " +
                                 cublas_file() + "\n"));
    expect_error(Exit::device, {"--gemm cublas", "it is not here", "GPT_CUBLASLT", "--gemm native"},
                 [&] { settle(Gemm::cublas, none); });
}

#if defined(__CUDACC__) && !defined(GPT_NO_CUBLAS_HEADER) && __has_include(<cublasLt.h>)
static_assert(int(success) == CUBLAS_STATUS_SUCCESS && int(invalid_value) == CUBLAS_STATUS_INVALID_VALUE &&
              int(arch_mismatch) == CUBLAS_STATUS_ARCH_MISMATCH && int(not_supported) == CUBLAS_STATUS_NOT_SUPPORTED);
static_assert(int(CublasType::fp32) == CUDA_R_32F && int(CublasType::bf16) == CUDA_R_16BF);
static_assert(int(CublasOp::none) == CUBLAS_OP_N && int(CublasOp::transpose) == CUBLAS_OP_T);
static_assert(int(CublasEpilogue::none) == CUBLASLT_EPILOGUE_DEFAULT &&
              int(CublasEpilogue::bias) == CUBLASLT_EPILOGUE_BIAS &&
              int(CublasEpilogue::gelu_aux) == CUBLASLT_EPILOGUE_GELU_AUX &&
              int(CublasEpilogue::gelu_aux_bias) == CUBLASLT_EPILOGUE_GELU_AUX_BIAS &&
              int(CublasEpilogue::dgelu) == CUBLASLT_EPILOGUE_DGELU);
static_assert(int(CublasSetting::op_a) == CUBLASLT_MATMUL_DESC_TRANSA &&
              int(CublasSetting::op_b) == CUBLASLT_MATMUL_DESC_TRANSB &&
              int(CublasSetting::epilogue) == CUBLASLT_MATMUL_DESC_EPILOGUE &&
              int(CublasSetting::bias) == CUBLASLT_MATMUL_DESC_BIAS_POINTER &&
              int(CublasSetting::aux) == CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER &&
              int(CublasSetting::aux_ld) == CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD);
static_assert(int(CublasWish::workspace) == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES &&
              int(CublasWish::reduction_schemes) == CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK &&
              int(CublasWish::alignment_a) == CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES &&
              int(CublasWish::alignment_b) == CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES &&
              int(CublasWish::alignment_c) == CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES &&
              int(CublasWish::alignment_d) == CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES);
static_assert(cublas_compute_fp32 == CUBLAS_COMPUTE_32F &&
              cublas_reduce_in_fp32 == CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE);
static_assert(sizeof(CublasAlgorithm) == sizeof(cublasLtMatmulAlgo_t) &&
              sizeof(CublasProposal) == sizeof(cublasLtMatmulHeuristicResult_t) &&
              offsetof(CublasProposal, status) == offsetof(cublasLtMatmulHeuristicResult_t, state));

// NVIDIA's functions and ours take arguments of the same kinds.
template <class Theirs, class Ours>
constexpr bool alike = sizeof(Theirs) == sizeof(Ours) && std::is_pointer_v<Theirs> == std::is_pointer_v<Ours>;
template <class R, class... P, class S, class... Q>
constexpr bool same_call(R (*)(P...), S (*)(Q...)) {
    if constexpr (sizeof...(P) == sizeof...(Q)) return (alike<R, S> && ... && alike<P, Q>);
    return false;
}
#define SAME_CALL(theirs, ours) static_assert(same_call(decltype (&theirs)(), decltype(CublasLt::ours)()), #theirs)
SAME_CALL(cublasLtGetVersion, version);
SAME_CALL(cublasLtGetStatusString, status_text);
SAME_CALL(cublasLtCreate, create);
SAME_CALL(cublasLtDestroy, destroy);
SAME_CALL(cublasLtMatmulDescCreate, product_create);
SAME_CALL(cublasLtMatmulDescDestroy, product_destroy);
SAME_CALL(cublasLtMatmulDescSetAttribute, product_set);
SAME_CALL(cublasLtMatrixLayoutCreate, layout_create);
SAME_CALL(cublasLtMatrixLayoutDestroy, layout_destroy);
SAME_CALL(cublasLtMatmulPreferenceCreate, preference_create);
SAME_CALL(cublasLtMatmulPreferenceDestroy, preference_destroy);
SAME_CALL(cublasLtMatmulPreferenceSetAttribute, preference_set);
SAME_CALL(cublasLtMatmulAlgoGetHeuristic, propose);
SAME_CALL(cublasLtMatmul, multiply);
#endif

}  // namespace
