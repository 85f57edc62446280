// Plays cuBLASLt, so that kernels/linear_cublas.cuh is tested without it: the same functions, by a kernel that adds in
// plain order. `fake` says what it can do, what fails, and what it did.
#pragma once
#include <map>
#include <string>
#include <vector>
#include "kernels/linear_cublas.cuh"

struct FakeAlgorithm {
    enum class Order : int { up, down } order = Order::up;  // of k
    int slowness = 1;
    CublasStatus status = CublasStatus::success;
};

struct Fake {
    std::vector<FakeAlgorithm> algorithms{{}};
    std::map<std::string, CublasStatus> fails;  // functions that do
    int alive = 0;                              // things made and not given back
    struct Call {
        CublasEpilogue epilogue;
        size_t algorithm;
        Into into;
    };
    std::vector<Call> calls;  // of products that were done

    CublasStatus status(const char* function) const {
        const auto found = fails.find(function);
        return found == fails.end() ? CublasStatus::success : found->second;
    }
    template <class Thing, class... A>
    CublasStatus make(Thing*& thing, const char* function, A... values) {
        if (const CublasStatus bad = status(function); bad != CublasStatus::success) return bad;
        thing = new Thing{values...}, alive++;
        return CublasStatus::success;
    }
    template <class Thing>
    CublasStatus give_back(Thing* thing) {
        if (thing) delete thing, alive--;
        return CublasStatus::success;
    }
};
inline Fake fake;

struct CublasOpaqueHandle {};
struct CublasOpaquePreference {};
struct CublasOpaqueProduct {
    CublasOp a = CublasOp::none, b = CublasOp::none;
    CublasEpilogue epilogue = CublasEpilogue::none;
    const void* bias = nullptr;
    void* aux = nullptr;
    int64_t aux_ld = 0;
};
struct CublasOpaqueLayout {
    CublasType type;
    uint64_t rows, columns;
    int64_t ld;
};

// As exact as a GPU's tanh.approx.
__device__ inline float fake_tanh(float x) { return rintf(tanhf(x) * 0x1p11f) * 0x1p-11f; }
__device__ inline float fake_gelu(float x) {
    return x / 2 * (1 + fake_tanh(0.79788456f * (x + 0.044715f * x * x * x)));
}
__device__ inline float fake_gelu_slope(float x) {
    const float t = fake_tanh(0.79788456f * (x + 0.044715f * x * x * x));
    return (1 + t) / 2 + x / 2 * (1 - t * t) * 0.79788456f * (1 + 3 * 0.044715f * x * x);
}

// d (rows,columns), columns first, as everything here.
template <class T, class Out>
__global__ void fake_cublas_kernel(CublasOpaqueProduct p, CublasOpaqueLayout a_layout, const T* a, const T* b,
                                   int64_t b_ld, Out* d, int rows, int columns, int K, FakeAlgorithm how, Into into) {
    const size_t i = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= size_t(rows) * columns) return;
    const int64_t row = i % rows, column = i / rows;
    float sum = 0;
    for (int again = 0; again < how.slowness; again++) {
        sum = 0;
        for (int step = 0; step < K; step++) {
            const int64_t k = how.order == FakeAlgorithm::Order::up ? step : K - 1 - step;
            const T x = p.a == CublasOp::none ? a[k * a_layout.ld + row] : a[row * a_layout.ld + k];
            const T y = p.b == CublasOp::none ? b[column * b_ld + k] : b[k * b_ld + column];
            sum += float(x) * float(y);
        }
    }
    using enum CublasEpilogue;
    if (p.epilogue == bias || p.epilogue == gelu_aux_bias) sum += float(static_cast<const T*>(p.bias)[row]);
    T* const aux = p.aux ? static_cast<T*>(p.aux) + column * p.aux_ld + row : nullptr;
    if (p.epilogue == gelu_aux || p.epilogue == gelu_aux_bias) *aux = T(sum), sum = fake_gelu(sum);
    if (p.epilogue == dgelu) sum *= fake_gelu_slope(float(*aux));
    d[i] = Out(into == Into::add ? float(d[i]) + sum : sum);
}

template <class T, class Out>
void fake_multiply(const CublasOpaqueProduct& p, const void* a, CublasLayout a_layout, const void* b, int64_t b_ld,
                   void* d, CublasLayout d_layout, const FakeAlgorithm& how, Into into, cudaStream_t stream) {
    const int rows = int(d_layout->rows), columns = int(d_layout->columns);
    const int K = int(p.a == CublasOp::none ? a_layout->columns : a_layout->rows);
    cudaLaunchConfig_t config = {};
    config.gridDim = unsigned(ceil_div(size_t(rows) * columns, size_t(64)));
    config.blockDim = 64;
    config.stream = stream;
    CUDA(cudaLaunchKernelEx(&config, fake_cublas_kernel<T, Out>, p, *a_layout, static_cast<const T*>(a),
                            static_cast<const T*>(b), b_ld, static_cast<Out*>(d), rows, columns, K, how, into));
}

// What it proposes depends on where the epilogue reads and writes: nothing, where that is not set.
inline CublasStatus fake_propose(CublasHandle, CublasProduct p, CublasLayout, CublasLayout, CublasLayout, CublasLayout,
                                 CublasPreference, int most, CublasProposal* out, int* count) {
    const bool bias = p->epilogue == CublasEpilogue::bias || p->epilogue == CublasEpilogue::gelu_aux_bias;
    const bool aux = p->epilogue != CublasEpilogue::none && p->epilogue != CublasEpilogue::bias;
    *count = (bias && !p->bias) || (aux && !(p->aux && p->aux_ld)) ? 0 : std::min(most, int(fake.algorithms.size()));
    for (int i = 0; i < *count; i++) out[i] = {{{uint64_t(i)}}, 0, CublasStatus::success, 1, {}};
    return fake.status("propose");
}

inline CublasStatus fake_multiply(CublasHandle, CublasProduct p, const void* alpha, const void* a,
                                  CublasLayout a_layout, const void* b, CublasLayout b_layout, const void* beta,
                                  const void* c, CublasLayout, void* d, CublasLayout d_layout,
                                  const CublasAlgorithm* algorithm, void* workspace, size_t bytes,
                                  cudaStream_t stream) {
    const size_t which = algorithm->data[0];
    const FakeAlgorithm& how = fake.algorithms[which];
    if (const CublasStatus bad = fake.status("multiply"); bad != CublasStatus::success) return bad;
    if (how.status != CublasStatus::success) return how.status;
    const float old = *static_cast<const float*>(beta);
    const Into into = old == 0 ? Into::assign : Into::add;
    if (*static_cast<const float*>(alpha) != 1 || (old != 0 && old != 1) || c != d) return CublasStatus::invalid_value;
    fake.calls.push_back({p->epilogue, which, into});
    if (a_layout->type == CublasType::fp32)
        fake_multiply<float, float>(*p, a, a_layout, b, b_layout->ld, d, d_layout, how, into, stream);
    else if (d_layout->type == CublasType::fp32)
        fake_multiply<bf16, float>(*p, a, a_layout, b, b_layout->ld, d, d_layout, how, into, stream);
    else fake_multiply<bf16, bf16>(*p, a, a_layout, b, b_layout->ld, d, d_layout, how, into, stream);
    if (workspace) CUDA(cudaMemsetAsync(workspace, 0xff, std::min<size_t>(bytes, 4096), stream));  // NaNs stay in it
    return CublasStatus::success;
}

inline CublasStatus fake_set(CublasProduct p, CublasSetting what, const void* value, size_t bytes) {
    const auto take = [=](auto& field) { std::memcpy(&field, value, std::min(bytes, sizeof field)); };
    using enum CublasSetting;
    switch (what) {
        case op_a: take(p->a); break;
        case op_b: take(p->b); break;
        case CublasSetting::epilogue: take(p->epilogue); break;
        case CublasSetting::bias: take(p->bias); break;
        case aux: take(p->aux); break;
        case aux_ld: take(p->aux_ld); break;
        default: return CublasStatus::invalid_value;
    }
    return fake.status("product_set");
}

inline const CublasLt fake_cublas = {
    .version = [] { return size_t(10000) * cublas_major; },
    .status_text = [](CublasStatus) { return "what went wrong"; },
    .create = [](CublasHandle* h) { return fake.make(*h, "create"); },
    .destroy = [](CublasHandle h) { return fake.give_back(h); },
    .product_create =
        [](CublasProduct* p, int compute, CublasType scale) {
            if (compute != cublas_compute_fp32 || scale != CublasType::fp32) return CublasStatus::not_supported;
            return fake.make(*p, "product_create");
        },
    .product_destroy = [](CublasProduct p) { return fake.give_back(p); },
    .product_set = fake_set,
    .layout_create = [](CublasLayout* l, CublasType type, uint64_t rows, uint64_t columns,
                        int64_t ld) { return fake.make(*l, "layout_create", type, rows, columns, ld); },
    .layout_destroy = [](CublasLayout l) { return fake.give_back(l); },
    .preference_create = [](CublasPreference* p) { return fake.make(*p, "preference_create"); },
    .preference_destroy = [](CublasPreference p) { return fake.give_back(p); },
    .preference_set = [](CublasPreference, CublasWish, const void*, size_t) { return fake.status("preference_set"); },
    .propose = fake_propose,
    .multiply = fake_multiply,
};
