// Whether this GPU's fast kernels do what the plain ones do: a start-up check, for users whose GPU nobody has tried.
//
// Each family of kernels runs on small shapes around the edges of its tiles, on numbers rounded to T, beside the plain
// kernels in fp32 on the same numbers. What differs by more than rounding explains (tolerance.h), or cannot be
// launched, is a fault; from then on the plain kernels are taken, also in the checks that follow. Shapes, terms and
// roundings are those of the tests of each layer.
#pragma once
#include <random>
#include "attention.cuh"
#include "attention_decode.cuh"
#include "kernels/tools/tolerance.cuh"
#include "linear_fused.cuh"

template <class T>
class SelfCheck {
public:
    explicit SelfCheck(Gemm gemm) {
        fast.gemm = gemm, plain.gemm = Gemm::native;
        const Noise some{99, 7, 12};
        fast.upload(noise, &some, 1);
        for (size_t i = 0; i < names_of<Kernels>.size(); i++) plain.distrust(Kernels(i));
    }

    // Of the kernels that a run with --gemm as given may use. Throws Error{device} where a kernel broke down, after
    // which the GPU does nothing more for this process.
    std::vector<KernelFault> run() {
        const int tall = 128 * (fast.sm_count + 1);  // enough for the square tile, and blocks of several tiles
        if (linear_has_hopper(fast)) {
            const Gemm asked = std::exchange(fast.gemm, Gemm::native);
            const int rows = 128 * fast.sm_count;  // a tile's for every block
            check(Kernels::linear_hopper,
                  [&] { product(2 * rows, 256, 392), product(rows, 264, 200), fused(rows, 200, 168); });
            fast.gemm = asked;
            fast.distrust(Kernels::linear_hopper);  // from here on, what would take its place
        }
        if (uses_cublas(fast)) check(Kernels::linear_cublas, [&] { product(144, 264, 136), fused(144, 136, 72); });
        fast.gemm = Gemm::native;
        if constexpr (std::is_same_v<T, bf16>) {
            check(Kernels::linear_tensor, [&] { product(144, 264, 136), product(tall, 40, 8); });
            check(Kernels::linear_fused, [&] { fused(144, 136, 72); });
            check(Kernels::linear_few, [&] { product(3, 264, 40), product(linear_few, 776, 24), fused(9, 264, 40); });
            if (has_hopper(fast)) {
                check(Kernels::attention_hopper_forward, [&] { forward(64, dropout(0)), forward(128, dropout(0)); });
                check(Kernels::attention_hopper_backward, [&] { backward(64, dropout(0)), backward(128, dropout(0)); });
                for (const Kernels k : {Kernels::attention_hopper_forward, Kernels::attention_hopper_backward})
                    fast.distrust(k);  // from here on, what would take its place
            }
            for (const float p : {0.0f, 0.25f})  // dropout has kernels of its own
                for (const int HS : head_sizes) {
                    check(Kernels::attention_forward, [&] { forward(HS, dropout(p)); });
                    check(Kernels::attention_backward, [&] { backward(HS, dropout(p)); });
                }
        }
        check(Kernels::attention_decode, [&] { decode(4, 2, 64), decode(9, 1, 80), decode(2, 2, 128); });
        return faults;
    }

private:
    static constexpr int head_sizes[7] = {32, 48, 64, 80, 96, 128, 256};

    // The same numbers on both sides.
    template <class U>
    struct Pair {
        U* fast;
        std::conditional_t<std::is_same_v<U, int>, int, float>* plain;
        size_t n;
    };
    struct Fast {
        const Gpu<T>& on;
        template <class U>
        U* operator()(const Pair<U>& p) const {
            return p.fast;
        }
    };
    struct Plain {
        const Gpu<float>& on;
        template <class U>
        auto* operator()(const Pair<U>& p) const {
            return p.plain;
        }
    };
    template <class Layer>
    void both(Layer layer) {
        layer(Fast{fast}), layer(Plain{plain});
    }

    template <class U, class Value>
    Pair<U> generate(size_t n, Value value) {
        std::vector<U> rounded(n);
        for (U& x : rounded) x = U(value());
        const std::vector<float> same(rounded.begin(), rounded.end());
        const Pair<U> p{fast.template allocate<U>(n), plain.allocate<float>(n), n};
        fast.upload(p.fast, rounded.data(), n);
        plain.upload(p.plain, same.data(), n);
        return p;
    }
    template <class U>
    Pair<U> random(size_t n) {
        return generate<U>(n, [&] { return normal(generator); });
    }
    template <class U>
    Pair<U> fresh(size_t n) {
        return generate<U>(n, [] { return NAN; });
    }  // to be written

    // Of the layer that is being checked, the first fault counts.
    template <class U>
    void expect(const char* name, const Pair<U>& t, double terms, Rounded rounded = {}, size_t first = 0) {
        std::vector<U> got(t.n);
        std::vector<float> want(t.n);
        fast.download(got.data(), t.fast, t.n);
        plain.download(want.data(), t.plain, t.n);
        const double allowed = tolerance<U>(terms) + rounded.tolerance<T>() + tolerance<float>(terms);
        const std::string text = mismatch(got.data() + first, want.data() + first, t.n - first, allowed, rounded.row);
        if (fault.empty() && !text.empty()) fault = std::string(name) + ": " + text;
    }

    template <class Body>
    void check(Kernels kernels, Body body) {
        if (!fast.trusts(kernels)) return;
        fault.clear();
        generator.seed(20), normal.reset();  // the same numbers, whatever the checks before found
        try {
            body();
        } catch (const Error& error) {
            fault = error.what();
            still_there(kernels);
        }
        if (fault.empty()) return;
        faults.push_back({kernels, fault});
        fast.distrust(kernels);
    }
    void still_there(Kernels kernels) const {
        cudaGetLastError();  // a refused launch is not remembered against the next
        if (cudaDeviceSynchronize() != cudaSuccess)
            throw Error(Exit::device, name_of(kernels), "broke down in the self-check: " + fault,
                        "please report; --dtype fp32 --gemm native uses the plain kernels");
    }

    void product(int N, int C, int OC) {
        const auto inp = random<T>(size_t(N) * C), weight = random<T>(size_t(OC) * C), bias = random<T>(OC),
                   d_out = random<T>(size_t(N) * OC);
        const auto out = fresh<T>(size_t(N) * OC), d_inp = fresh<T>(size_t(N) * C);
        const auto d_weight = random<float>(size_t(OC) * C), d_bias = random<float>(OC);
        both([&](auto of) {
            linear_forward(of(out), of(inp), of(weight), of(bias), N, C, OC, of.on);
            linear_backward(of(d_inp), of(d_weight), of(d_bias), of(d_out), of(inp), of(weight), N, C, OC, of.on);
        });
        expect("out", out, C), expect("d_inp", d_inp, OC), expect("d_weight", d_weight, N), expect("d_bias", d_bias, N);
    }

    void fused(int N, int C, int OC) {
        const size_t n = size_t(N) * OC;
        const auto inp = random<T>(size_t(N) * C), weight = random<T>(2 * size_t(OC) * C),
                   bias = random<T>(2 * size_t(OC));
        const auto before = fresh<T>(n), gelu = fresh<T>(n), gate_up = fresh<T>(2 * n), swiglu = fresh<T>(n);
        both([&](auto of) {
            linear_gelu_forward(of(gelu), of(before), of(inp), of(weight), of(bias), N, C, OC, of.on);
            linear_swiglu_forward(of(swiglu), of(gate_up), of(inp), of(weight), of(bias), N, C, OC, of.on);
        });
        expect("before", before, C), expect("gelu", gelu, C, {1});
        expect("gate_up", gate_up, C), expect("swiglu", swiglu, C, {2});

        const auto activated = random<T>(2 * size_t(N) * C), d_out = random<T>(n);
        const auto d_before = fresh<T>(size_t(N) * C), d_gate_up = fresh<T>(2 * size_t(N) * C);
        const auto d_weight = random<float>(size_t(OC) * C), d_bias = random<float>(OC),
                   d_before_bias = random<float>(C);
        both([&](auto of) {
            gelu_linear_backward(of(d_before), of(d_weight), of(d_bias), of(d_before_bias), of(d_out), of(inp),
                                 of(activated), of(weight), N, C, OC, of.on);
            // Without a bias, as such models are: gradients of weights by themselves are other kernels.
            swiglu_linear_backward(of(d_gate_up), of(d_weight), static_cast<float*>(nullptr), of(d_out), of(inp),
                                   of(activated), of(weight), N, C, OC, of.on);
        });
        expect("d_before", d_before, OC, {1}), expect("d_gate_up", d_gate_up, OC, {1});
        expect("d_weight", d_weight, 2 * N), expect("d_bias", d_bias, N);
        expect("d_before_bias", d_before_bias, N, {4});
    }

    static constexpr int tokens = 136, heads = 2,
                         shared_by = 2;  // beyond a tile of queries, and of keys; query heads that share one
    Dropout dropout(float p) const { return {p, 3, noise}; }
    void forward(int HS, const Dropout& drop) {
        const auto qkv = random<T>(size_t(tokens) * (heads + 2 * heads / shared_by) * HS),
                   out = fresh<T>(size_t(tokens) * heads * HS);
        const auto lse = fresh<float>(size_t(tokens) * heads);
        both([&](auto of) {
            attention_forward(of(out), of(lse), of(qkv), nullptr, drop, {1, tokens, heads, heads / shared_by, HS},
                              of.on);
        });
        const std::string size = name(HS, drop);
        expect((size + ", out").c_str(), out, tokens + HS, {1, size_t(HS)}),
            expect((size + ", lse").c_str(), lse, tokens + HS);
    }

    static std::string name(int HS, const Dropout& drop) {
        return "head size " + std::to_string(HS) + (drop.p > 0 ? " with dropout" : "");
    }

    // From the same out and lse on both sides.
    void backward(int HS, const Dropout& drop) {
        const auto qkv = random<T>(size_t(tokens) * (heads + 2 * heads / shared_by) * HS),
                   d_out = random<T>(size_t(tokens) * heads * HS);
        const auto out = fresh<T>(d_out.n), d_qkv = fresh<T>(qkv.n);
        const auto lse = fresh<float>(size_t(tokens) * heads);
        attention_forward(out.plain, lse.plain, qkv.plain, nullptr, drop, {1, tokens, heads, heads / shared_by, HS},
                          plain);
        share(out), share(lse);
        both([&](auto of) {
            attention_backward(of(d_qkv), of(d_out), of(out), of(lse), of(qkv), nullptr, drop,
                               {1, tokens, heads, heads / shared_by, HS}, of.on);
        });
        expect((name(HS, drop) + ", d_qkv").c_str(), d_qkv, tokens * shared_by + HS, {1, size_t(HS)});
    }
    template <class U>
    void share(const Pair<U>& t) {
        std::vector<float> values(t.n);
        plain.download(values.data(), t.plain, t.n);
        const std::vector<U> rounded(values.begin(), values.end());
        values.assign(rounded.begin(), rounded.end());
        fast.upload(t.fast, rounded.data(), t.n);
        plain.upload(t.plain, values.data(), t.n);
    }

    // The last token of a text by itself, with the others' keys and values kept, against attention over all of it.
    void decode(int NH, int NKV, int HS) {
        const size_t row = size_t(NH + 2 * NKV) * HS, kept = size_t(NKV) * tokens * HS;
        const auto qkv = random<T>(tokens * row), out = fresh<T>(size_t(tokens) * NH * HS);
        const auto lse = fresh<float>(size_t(tokens) * NH);
        T *keys = fast.template allocate<T>(kept), *values = fast.template allocate<T>(kept);
        int* position = fast.template allocate<int>(1);
        const int last = tokens - 1;
        fast.upload(position, &last, 1);
        attention_keep(keys, values, qkv.fast, last, tokens, NH, NKV, HS, fast);
        attention_decode(out.fast + size_t(last) * NH * HS, keys, values, qkv.fast + last * row, position, tokens,
                         {1, 1, NH, NKV, HS}, fast);
        attention_forward(out.plain, lse.plain, qkv.plain, nullptr, {}, {1, tokens, NH, NKV, HS}, plain);
        expect(("head size " + std::to_string(HS) + ", out").c_str(), out, tokens + HS, {0, size_t(HS)},
               size_t(last) * NH * HS);
    }

    Gpu<T> fast;
    Gpu<float> plain;
    Noise* noise = fast.template allocate<Noise>(1);
    std::mt19937 generator;
    std::normal_distribution<float> normal;
    std::string fault;
    std::vector<KernelFault> faults;
};
