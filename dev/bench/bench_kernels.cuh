// The kernels that are timed, at the shapes of a training step: a row for each, which declares its tensors and says how
// to run it.
#pragma once
#include <functional>
#include "bench_cudnn.cuh"
#include "bench_memory.cuh"
#include "bench_table.h"
#include "host/model/config.h"
#include "kernels/instances.cuh"

using BenchLaunch = std::function<void(const Gpu<bf16>&)>;
struct BenchRow {
    std::string kernel, shape;
    int per_step;  // times in a step of that model; 0: not (yet) in it
    std::function<BenchLaunch(BenchMemory&)> declare;
    std::function<BenchLaunch(BenchMemory&)> cudnn = {};  // the same by cuDNN, where the build has it
    bool has_products() const { return kernel.find("linear") != kernel.npos; }
};

KernelTime measure(const BenchRow& row);  // what is refused is said in left_out

class BenchRows {
public:
    // A step of B sequences of c.T.
    BenchRows(const Config& c, int B) : c(c), B(B), N(B * c.T), n(size_t(N) * c.C) {
        embedding();
        c.norm == Norm::layernorm ? layernorm() : rmsnorm();
        if (c.position == Position::rope) rope();
        if (c.qk_norm) qk_norm();
        attention();
        residual_and_activation();
        cross_entropy();
        for (const Linear& l : linears()) linear(l);
        if (fused) linear_with_activation();
        ladder();
        optimizer();
    }
    std::vector<BenchRow> rows;

private:
    using M = BenchMemory;
    using On = const Gpu<bf16>&;
    struct Linear {
        std::string name;
        int in, out;
        bool bias, d_bias;
        int forward, backward;
    };  // times in a step

    const Config c;
    const int B, N;
    const size_t n;
    const int qkv = (c.NH + 2 * c.NKV) * c.HS, up = c.activation == Activation::swiglu ? 2 * c.F : c.F;
    const int P = round_up(c.V, Gpu<bf16>::vocab_multiple);
    const Values positive = {.low = 0.5, .high = 1.5};

    void add(const std::string& kernel, std::initializer_list<std::pair<const char*, long>> sizes, int per_step,
             std::function<BenchLaunch(M&)> declare) {
        std::string shape;
        for (auto [letter, value] : sizes) shape += (shape.empty() ? "" : " ") + (letter + std::to_string(value));
        rows.push_back({kernel, shape, per_step, std::move(declare)});
    }
    Values below(int limit) const { return {.low = 0, .high = double(limit)}; }
    int* positions(M& m) const {
        std::vector<int> host(N);
        for (int i = 0; i < N; i++) host[i] = i % c.T;
        return m.constants(host);
    }
    const bool fused = c.activation != Activation::relu;      // the feed-forward's products with their activation
    const bool norm_sums = c.norm == Norm::layernorm;         // d_bias of each branch's last linear layer
    const bool gelu_sums = c.activation == Activation::gelu;  // and that of `up`
    std::vector<Linear> linears() const {
        return {{"qkv", c.C, qkv, c.qkv_bias, c.qkv_bias, c.L, c.L},
                {"proj", c.NH * c.HS, c.C, c.proj_bias, c.proj_bias && !norm_sums, c.L, c.L},
                {"up", c.C, up, c.ffn_bias, c.ffn_bias && !gelu_sums, fused ? 0 : c.L, c.L},
                {"down", c.F, c.C, c.ffn_bias, c.ffn_bias && !norm_sums, c.L, fused ? 0 : c.L},
                {"head", c.C, P, false, false, 1, 1}};
    }

    void embedding();
    void layernorm();
    void rmsnorm();
    void rope();
    void qk_norm();
    void attention();
    void residual_and_activation();
    void cross_entropy();
    void linear(const Linear& l);
    void linear_with_activation();
    void ladder();
    void optimizer();
};
