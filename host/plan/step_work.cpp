#include "step_work.h"
#include <fmt/core.h>
#include <algorithm>

namespace {

using Kernels = std::vector<StepKernel>;

// The letters of host/model/gpt.h; sizes in numbers of elements. Activations and weights take two bytes, statistics and
// gradients of weights four.
struct Shapes {
    const Config& c;
    const double B, T = c.T, N = B * T, C = c.C, V = c.V, n = N * C;
    const double QKV = (c.NH + 2.0 * c.NKV) * c.HS, UP = c.activation == Activation::swiglu ? 2.0 * c.F : c.F, F = c.F;
    const double P = double((c.V + 127) / 128 * 128), att = double(c.NH) * c.HS;
    const bool layernorm = c.norm == Norm::layernorm, learned = c.position == Position::learned;
    const bool norm_sums = layernorm && c.dropout == 0;  // gradients of the biases before it
    const bool gelu = c.activation == Activation::gelu, relu = c.activation == Activation::relu;
    const bool rope = c.position == Position::rope;

    Shapes(const Config& config, int batch) : c(config), B(batch) {}

    static double if_so(bool is, double bytes) { return is ? bytes : 0; }
    static StepKernel memory(const std::string& name, double bytes, int launches = 1) {
        return {name, name, {.bytes = bytes}, launches};
    }
    // One that has not been measured, at the rate of its like.
    static StepKernel like(const char* other, const char* name, double bytes) {
        return {name, other, {.bytes = bytes}, 1};
    }

    StepKernel embedding_forward() const {
        return memory("embedding_forward", 2 * n + 4 * N + 2 * std::min(n, V * C) + if_so(learned, 4 * N + 2 * T * C));
    }
    StepKernel embedding_backward() const {  // tokens are sorted first
        return memory("embedding_backward", 8 * std::min(n, V * C) + 2 * n + 4 * N + if_so(learned, 4 * N + 8 * T * C),
                      16);
    }
    double norm_weights() const { return 2 * C + if_so(c.norm_bias, 2 * C); }
    double norm_rows() const { return layernorm ? 8 * N : 4 * N; }  // mean and rstd, or rstd
    const char* norm_name() const { return name_of(c.norm); }
    StepKernel norm_forward() const {
        return memory(fmt::format("{}_forward", norm_name()), 4 * n + norm_rows() + norm_weights());
    }
    StepKernel residual_norm_forward() const {
        return memory(fmt::format("residual_{}_forward", norm_name()), 8 * n + norm_rows() + norm_weights());
    }
    StepKernel norm_backward() const {
        const double sums = 8 * C + if_so(layernorm && c.norm_bias, 8 * C) + if_so(layernorm && c.proj_bias, 8 * C);
        return memory(fmt::format("{}_backward", norm_name()), 8 * n + norm_rows() + 2 * C + sums, 4);
    }

    StepKernel linear_forward(const char* name, double in, double out, bool bias) const {
        return {std::string("linear_forward ") + name,
                "linear_forward",
                {.bytes = 2 * (N * out + N * in + in * out) + if_so(bias, 2 * out), .products = 2 * N * in * out}};
    }
    // Both matmuls, and the sum of the parts of the weights' gradients.
    StepKernel linear_backward(const char* name, double in, double out, bool d_bias) const {
        return {
            std::string("linear_backward ") + name,
            "linear_backward",
            {.bytes = 4 * N * in + 2 * N * out + 10 * in * out + if_so(d_bias, 8 * out), .products = 4 * N * in * out},
            3};
    }
    void up_forward(Kernels& all) const {
        if (relu) {
            all.push_back(linear_forward("up", C, F, c.ffn_bias));
            return all.push_back(like("gelu_forward", "relu_forward", 4 * N * F));
        }
        const std::string name = fmt::format("linear_{}_forward", name_of(c.activation));
        all.push_back(
            {name + " up",
             name,
             {.bytes = 2 * (N * F + N * UP + n + UP * C) + if_so(c.ffn_bias, 2 * UP), .products = 2 * N * C * UP}});
    }
    void down_backward(Kernels& all) const {
        const bool d_bias = c.ffn_bias && !norm_sums;
        if (relu) {
            all.push_back(linear_backward("down", F, C, d_bias));
            return all.push_back(like("gelu_backward", "relu_backward", 6 * N * F));
        }
        const std::string name = fmt::format("{}_linear_backward", name_of(c.activation));
        all.push_back({name + " down",
                       name,
                       {.bytes = 4 * N * UP + 2 * (n + N * F) + 10 * C * F + if_so(d_bias, 8 * C) +
                                 if_so(gelu && c.ffn_bias, 8 * F),
                        .products = 4 * N * F * C},
                       4});
    }

    StepKernel attention(const char* pass, double arrays, double matmuls) const {
        const double pairs = N * c.NH * T / 2, rows = 4 * N * c.NH;
        const char* with = c.dropout > 0 ? " dropout" : "";
        const std::string name = fmt::format("attention_{}{}", pass, with);
        return {name,
                fmt::format("{} HS{}", name, c.HS <= 64 ? 64 : 128),
                {.bytes = arrays + rows, .products = matmuls * 2 * pairs * c.HS, .exponentials = pairs},
                matmuls > 2 ? 2 : 1,
                T};
    }
    StepKernel attention_forward() const { return attention("forward", 2 * N * att + 2 * N * QKV, 2); }
    StepKernel attention_backward() const { return attention("backward", 4 * N * QKV + 4 * N * att, 5); }

    void heads(Kernels& all, bool forward) const {
        if (!c.qk_norm && !rope) return;
        const double heads = N * (c.NH + c.NKV), turned = heads * c.HS, tables = if_so(rope, 4 * N + 8 * T * c.HS / 2);
        const char* const pass = forward ? "forward" : "backward";
        if (!c.qk_norm) return all.push_back(memory(fmt::format("rope_{}", pass), 4 * turned + tables));
        const double bytes = forward ? 4 * N * QKV + 4 * heads + 4 * c.HS : 6 * turned + 4 * heads + 20 * c.HS;
        all.push_back(memory(fmt::format("qk_norm{}_{}", rope ? "_rope" : "", pass), bytes + tables, forward ? 1 : 2));
    }
    void drop(Kernels& all) const {
        if (c.dropout > 0) all.push_back(like("residual_forward", "dropout", 4 * n));
    }

    void attention_part(Kernels& all) const {  // from norm1 to norm2
        all.push_back(linear_forward("qkv", C, QKV, c.qkv_bias));
        heads(all, true);
        all.push_back(attention_forward());
        all.push_back(linear_forward("proj", att, C, c.proj_bias));
        drop(all);
        all.push_back(residual_norm_forward());
    }
    Kernels block() const {
        Kernels all;
        attention_part(all);
        up_forward(all);
        all.push_back(linear_forward("down", F, C, c.ffn_bias));
        drop(all);
        all.push_back(residual_norm_forward());
        return all;
    }
    Kernels block_backward() const {
        Kernels all;
        drop(all);
        down_backward(all);
        all.push_back(linear_backward("up", C, UP, c.ffn_bias && !gelu));
        all.push_back(norm_backward());
        drop(all);
        all.push_back(linear_backward("proj", att, C, c.proj_bias && !norm_sums));
        all.push_back(attention_backward());
        heads(all, false);
        all.push_back(linear_backward("qkv", C, QKV, c.qkv_bias));
        all.push_back(norm_backward());
        return all;
    }
    Kernels again(Recompute recompute) const {
        Kernels all;
        if (recompute == Recompute::none) return all;
        all.push_back(norm_forward());
        if (recompute == Recompute::block) attention_part(all);
        up_forward(all);
        return all;
    }
    Kernels head() const {
        return {linear_forward("head", C, P, false), memory("cross_entropy_fused", 4 * N * P + 12 * N + 4),
                linear_backward("head", C, P, false)};
    }
};

}  // namespace

StepWork step_work(const Config& config, int B, Recompute recompute) {
    const Shapes s(config, B);
    StepWork all;
    all.embedding = {s.embedding_forward(), s.norm_forward()};
    s.drop(all.embedding);
    all.block = s.block(), all.head = s.head();
    all.last_norm = {s.norm_backward()}, all.block_backward = s.block_backward();
    s.drop(all.embedding_backward);
    all.embedding_backward.push_back(s.embedding_backward());
    all.again = s.again(recompute);
    return all;
}

std::vector<StepKernel> optimizer_work(double elements, int pieces) {
    return {{"global_norm", "global_norm", {.bytes = 4 * elements + 4}, 2 * pieces},
            {"adamw", "adamw", {.bytes = 30 * elements}, pieces}};
}
