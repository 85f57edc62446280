// The rows of bench_kernels.cuh: operands in the order of the layer's function.
#include "bench_kernels.cuh"
#include "host/model/gpt.h"

void BenchRows::embedding() {
    const bool learned = c.position == Position::learned;
    const size_t table = size_t(c.V) * c.C, places = size_t(c.T) * c.C;
    add("embedding_forward", {{"N", N}, {"C", c.C}}, 1, [=, this](M& m) -> BenchLaunch {
        bf16* out = m.out<bf16>(n);
        int *token = m.in<int>(N, below(c.V)), *position = learned ? positions(m) : nullptr;
        bf16 *wte = m.in<bf16>(table, {.touched = std::min(n, table)}), *wpe = learned ? m.in<bf16>(places) : nullptr;
        return [=, this](On on) { embedding_forward(out, token, position, wte, wpe, N, c.C, on); };
    });
    add("embedding_backward", {{"N", N}, {"C", c.C}}, 1, [=, this](M& m) -> BenchLaunch {
        float *d_wte = m.update<float>(table, {.touched = std::min(n, table)}),
              *d_wpe = learned ? m.update<float>(places) : nullptr;
        bf16* d_out = m.in<bf16>(n);
        int *token = m.in<int>(N, below(c.V)), *position = learned ? positions(m) : nullptr;
        return [=, this](On on) { embedding_backward(d_wte, d_wpe, d_out, token, position, N, c.C, c.V, c.T, on); };
    });
}

void BenchRows::layernorm() {
    const int norms = 2 * c.L + 1, bias_size = c.norm_bias ? c.C : 0;
    add("layernorm_forward", {{"N", N}, {"C", c.C}}, 1, [=, this](M& m) -> BenchLaunch {
        bf16* out = m.out<bf16>(n);
        float *mean = m.out<float>(N), *rstd = m.out<float>(N);
        bf16 *inp = m.in<bf16>(n), *weight = m.in<bf16>(c.C), *bias = bias_size ? m.in<bf16>(c.C) : nullptr;
        return [=, this](On on) { layernorm_forward(out, mean, rstd, inp, weight, bias, c.norm_eps, N, c.C, on); };
    });
    add("layernorm_backward", {{"N", N}, {"C", c.C}}, norms, [=, this](M& m) -> BenchLaunch {
        bf16* d_inp = m.update<bf16>(n);
        float *d_weight = m.update<float>(c.C), *d_bias = bias_size ? m.update<float>(c.C) : nullptr,
              *d_inp_bias = c.proj_bias ? m.update<float>(c.C) : nullptr;
        bf16 *d_out = m.in<bf16>(n), *inp = m.in<bf16>(n), *weight = m.in<bf16>(c.C);
        float *mean = m.in<float>(N), *rstd = m.in<float>(N, positive);
        return [=, this](On on) {
            layernorm_backward(d_inp, d_weight, d_bias, d_inp_bias, d_out, inp, weight, mean, rstd, N, c.C, on);
        };
    });
    add("residual_layernorm_forward", {{"N", N}, {"C", c.C}}, 2 * c.L, [=, this](M& m) -> BenchLaunch {
        bf16 *sum = m.out<bf16>(n), *out = m.out<bf16>(n);
        float *mean = m.out<float>(N), *rstd = m.out<float>(N);
        bf16 *inp = m.in<bf16>(n), *branch = m.in<bf16>(n), *weight = m.in<bf16>(c.C),
             *bias = bias_size ? m.in<bf16>(c.C) : nullptr;
        return [=, this](On on) {
            residual_layernorm_forward(sum, out, mean, rstd, inp, branch, weight, bias, c.norm_eps, N, c.C, on);
        };
    });
}

void BenchRows::rmsnorm() {
    const int norms = 2 * c.L + 1;
    add("rmsnorm_forward", {{"N", N}, {"C", c.C}}, 1, [=, this](M& m) -> BenchLaunch {
        bf16* out = m.out<bf16>(n);
        float* rstd = m.out<float>(N);
        bf16 *inp = m.in<bf16>(n), *weight = m.in<bf16>(c.C);
        return [=, this](On on) { rmsnorm_forward(out, rstd, inp, weight, c.norm_eps, N, c.C, on); };
    });
    add("rmsnorm_backward", {{"N", N}, {"C", c.C}}, norms, [=, this](M& m) -> BenchLaunch {
        bf16* d_inp = m.update<bf16>(n);
        float* d_weight = m.update<float>(c.C);
        bf16 *d_out = m.in<bf16>(n), *inp = m.in<bf16>(n), *weight = m.in<bf16>(c.C);
        float* rstd = m.in<float>(N, positive);
        return [=, this](On on) { rmsnorm_backward(d_inp, d_weight, d_out, inp, weight, rstd, N, c.C, on); };
    });
    add("residual_rmsnorm_forward", {{"N", N}, {"C", c.C}}, 2 * c.L, [=, this](M& m) -> BenchLaunch {
        bf16 *sum = m.out<bf16>(n), *out = m.out<bf16>(n);
        float* rstd = m.out<float>(N);
        bf16 *inp = m.in<bf16>(n), *branch = m.in<bf16>(n), *weight = m.in<bf16>(c.C);
        return
            [=, this](On on) { residual_rmsnorm_forward(sum, out, rstd, inp, branch, weight, c.norm_eps, N, c.C, on); };
    });
}

void BenchRows::rope() {
    const size_t rotated = size_t(N) * (c.NH + c.NKV) * c.HS, table = size_t(c.T) * c.HS / 2;
    for (const bool forward : {true, false})
        add(forward ? "rope_forward" : "rope_backward", {{"N", N}, {"NH", c.NH}, {"NKV", c.NKV}, {"HS", c.HS}},
            c.qk_norm ? 0 : c.L, [=, this](M& m) -> BenchLaunch {
                bf16* x = m.update<bf16>(size_t(N) * qkv, {.touched = rotated});
                int* position = positions(m);
                float *cos = m.in<float>(table), *sin = m.in<float>(table);
                return [=, this](On on) {
                    if (forward) rope_forward(x, position, cos, sin, c.rope_pairs, N, c.NH, c.NKV, c.HS, on);
                    else rope_backward(x, position, cos, sin, c.rope_pairs, N, c.NH, c.NKV, c.HS, on);
                };
            });
}

void BenchRows::qk_norm() {
    const size_t wide = size_t(N) * qkv, heads = size_t(N) * (c.NH + c.NKV), table = size_t(c.T) * c.HS / 2;
    const bool rope_too = c.position == Position::rope;
    for (const bool both : {false, true}) {
        if (both && !rope_too) continue;
        const std::string name = both ? "qk_norm_rope" : "qk_norm";
        const std::initializer_list<std::pair<const char*, long>> sizes = {
            {"N", N}, {"NH", c.NH}, {"NKV", c.NKV}, {"HS", c.HS}};
        add(name + "_forward", sizes, both == rope_too ? c.L : 0, [=, this](M& m) -> BenchLaunch {
            bf16* out = m.out<bf16>(wide);
            float* rstd = m.out<float>(heads);
            bf16 *inp = m.in<bf16>(wide), *q = m.in<bf16>(c.HS), *k = m.in<bf16>(c.HS);
            int* position = both ? positions(m) : nullptr;
            float *cos = both ? m.in<float>(table) : nullptr, *sin = both ? m.in<float>(table) : nullptr;
            return [=, this](On on) {
                if (both)
                    qk_norm_rope_forward(out, rstd, inp, q, k, position, cos, sin, c.rope_pairs, c.norm_eps, N, c.NH,
                                         c.NKV, c.HS, on);
                else qk_norm_forward(out, rstd, inp, q, k, c.norm_eps, N, c.NH, c.NKV, c.HS, on);
            };
        });
        add(name + "_backward", sizes, both == rope_too ? c.L : 0, [=, this](M& m) -> BenchLaunch {
            bf16* d = m.update<bf16>(wide, {.touched = heads * c.HS});  // values pass through
            float *d_q = m.update<float>(c.HS), *d_k = m.update<float>(c.HS);
            bf16 *inp = m.in<bf16>(wide, {.touched = heads * c.HS}), *q = m.in<bf16>(c.HS), *k = m.in<bf16>(c.HS);
            float* rstd = m.in<float>(heads, positive);
            int* position = both ? positions(m) : nullptr;
            float *cos = both ? m.in<float>(table) : nullptr, *sin = both ? m.in<float>(table) : nullptr;
            return [=, this](On on) {
                if (both)
                    qk_norm_rope_backward(d, d_q, d_k, d, inp, q, k, rstd, position, cos, sin, c.rope_pairs, N, c.NH,
                                          c.NKV, c.HS, on);
                else qk_norm_backward(d, d_q, d_k, d, inp, q, k, rstd, N, c.NH, c.NKV, c.HS, on);
            };
        });
    }
}

// Causal: half of the T x T products and exponentials.
void BenchRows::attention() {
    const size_t wide = size_t(N) * qkv, out_size = size_t(N) * c.NH * c.HS, rows_of_heads = size_t(N) * c.NH;
    const double pairs = double(rows_of_heads) * c.T / 2, product = 2 * pairs * c.HS;
    const std::initializer_list<std::pair<const char*, long>> sizes = {
        {"B", B}, {"T", c.T}, {"NH", c.NH}, {"NKV", c.NKV}, {"HS", c.HS}};
    const auto beside = [this](Pass pass) {
        if (cudnn_built) rows.back().cudnn = [=, this](M& m) { return cudnn_attention(m, pass, c, B); };
    };
    for (const bool drops : {false, true}) {
        const std::string with = drops ? " dropout" : "";
        const auto dropout = [=](M& m) {
            return drops ? Dropout{0.2f, 1, m.constants<Noise>({{1, 2, 3}})} : Dropout{};
        };
        add("attention_forward" + with, sizes, drops ? 0 : c.L, [=, this](M& m) -> BenchLaunch {
            bf16* out = m.out<bf16>(out_size);
            float* lse = m.out<float>(rows_of_heads);
            bf16* x = m.in<bf16>(wide);
            m.products(2 * product), m.exponentials(pairs);
            return [=, this, drop = dropout(m)](On on) {
                attention_forward(out, lse, x, nullptr, drop, {B, c.T, c.NH, c.NKV, c.HS}, on);
            };
        });
        if (!drops) beside(Pass::forward);
        add("attention_backward" + with, sizes, drops ? 0 : c.L, [=, this](M& m) -> BenchLaunch {
            bf16 *d_x = m.out<bf16>(wide), *d_out = m.in<bf16>(out_size), *out = m.in<bf16>(out_size);
            float* lse = m.in<float>(rows_of_heads, positive);
            bf16* x = m.in<bf16>(wide);
            m.products(5 * product), m.exponentials(pairs);
            return [=, this, drop = dropout(m)](On on) {
                attention_backward(d_x, d_out, out, lse, x, nullptr, drop, {B, c.T, c.NH, c.NKV, c.HS}, on);
            };
        });
        if (!drops) beside(Pass::backward);
    }
}

void BenchRows::residual_and_activation() {
    add("residual_forward", {{"N", N}, {"C", c.C}}, 0, [=, this](M& m) -> BenchLaunch {
        bf16 *out = m.out<bf16>(n), *inp = m.in<bf16>(n), *branch = m.in<bf16>(n);
        return [=, this](On on) { residual_forward(out, inp, branch, n, on); };
    });
    const bool gate = c.activation == Activation::swiglu, relu = c.activation == Activation::relu;
    const std::string name = name_of(c.activation);
    const size_t inputs = size_t(N) * up, outputs = size_t(N) * c.F;
    add(name + "_forward", {{"N", N}, {"F", c.F}}, fused ? 0 : c.L, [=, this](M& m) -> BenchLaunch {
        bf16 *out = m.out<bf16>(outputs), *inp = m.in<bf16>(inputs);
        return [=, this](On on) {
            if (gate) swiglu_forward(out, inp, N, c.F, on);
            else if (relu) relu_forward(out, inp, outputs, on);
            else gelu_forward(out, inp, outputs, on);
        };
    });
    add(name + "_backward", {{"N", N}, {"F", c.F}}, fused ? 0 : c.L, [=, this](M& m) -> BenchLaunch {
        bf16 *d_inp = m.out<bf16>(inputs), *d_out = m.in<bf16>(outputs), *inp = m.in<bf16>(inputs);
        return [=, this](On on) {
            if (gate) swiglu_backward(d_inp, d_out, inp, N, c.F, on);
            else if (relu) relu_backward(d_inp, d_out, inp, outputs, on);
            else gelu_backward(d_inp, d_out, inp, outputs, on);
        };
    });
}

void BenchRows::cross_entropy() {
    const size_t logits_size = size_t(N) * P, read = size_t(N) * c.V;
    add("cross_entropy_forward", {{"N", N}, {"V", c.V}}, 0, [=, this](M& m) -> BenchLaunch {
        float *loss = m.out<float>(N), *lse = m.out<float>(N);
        bf16* logits = m.in<bf16>(logits_size, {.touched = read});
        int* target = m.in<int>(N, below(c.V));
        return [=, this](On on) { cross_entropy_forward(loss, lse, logits, target, N, c.V, P, on); };
    });
    add("cross_entropy_backward", {{"N", N}, {"V", c.V}}, 0, [=, this](M& m) -> BenchLaunch {
        bf16* logits = m.update<bf16>(logits_size);
        float *d_loss = m.in<float>(1, positive), *lse = m.in<float>(N, positive);
        int* target = m.in<int>(N, below(c.V));
        return [=, this](On on) { cross_entropy_backward(logits, d_loss, logits, lse, target, N, c.V, P, on); };
    });
    add("cross_entropy_fused", {{"N", N}, {"V", c.V}}, 1, [=, this](M& m) -> BenchLaunch {
        float *loss = m.out<float>(N), *lse = m.out<float>(N);
        bf16* logits = m.update<bf16>(logits_size);
        float* d_loss = m.in<float>(1, positive);
        int* target = m.in<int>(N, below(c.V));
        return [=, this](On on) { cross_entropy_fused(loss, lse, logits, d_loss, target, N, c.V, P, on); };
    });
}

void BenchRows::linear(const Linear& l) {
    const size_t x_size = size_t(N) * l.in, y_size = size_t(N) * l.out, w_size = size_t(l.out) * l.in;
    const double product = 2.0 * N * l.in * l.out;
    const std::initializer_list<std::pair<const char*, long>> sizes = {{"N", N}, {"C", l.in}, {"OC", l.out}};
    add("linear_forward " + l.name, sizes, l.forward, [=, this](M& m) -> BenchLaunch {
        bf16 *y = m.out<bf16>(y_size), *x = m.in<bf16>(x_size), *w = m.in<bf16>(w_size),
             *b = l.bias ? m.in<bf16>(l.out) : nullptr;
        m.products(product);
        return [=, this](On on) { linear_forward(y, x, w, b, N, l.in, l.out, on); };
    });
    add("linear_backward " + l.name, sizes, l.backward, [=, this](M& m) -> BenchLaunch {
        bf16* d_x = m.out<bf16>(x_size);
        float *d_w = m.update<float>(w_size), *d_b = l.d_bias ? m.update<float>(l.out) : nullptr;
        bf16 *d_y = m.in<bf16>(y_size), *x = m.in<bf16>(x_size), *w = m.in<bf16>(w_size);
        m.products(2 * product);
        return [=, this](On on) { linear_backward(d_x, d_w, d_b, d_y, x, w, N, l.in, l.out, on); };
    });
}

// Up with the activation behind it, and the backward pass of down with the activation before it.
void BenchRows::linear_with_activation() {
    const bool gate = c.activation == Activation::swiglu;
    const size_t wide = size_t(N) * up, act_size = size_t(N) * c.F;
    const std::string name = name_of(c.activation);
    add("linear_" + name + "_forward up", {{"N", N}, {"C", c.C}, {"OC", up}}, c.L, [=, this](M& m) -> BenchLaunch {
        bf16 *act = m.out<bf16>(act_size), *before = m.out<bf16>(wide), *x = m.in<bf16>(n),
             *w = m.in<bf16>(size_t(up) * c.C), *b = c.ffn_bias ? m.in<bf16>(up) : nullptr;
        m.products(2.0 * N * c.C * up);
        return [=, this](On on) {
            if (gate) linear_swiglu_forward(act, before, x, w, b, N, c.C, c.F, on);
            else linear_gelu_forward(act, before, x, w, b, N, c.C, c.F, on);
        };
    });
    add(name + "_linear_backward down", {{"N", N}, {"C", c.F}, {"OC", c.C}}, c.L, [=, this](M& m) -> BenchLaunch {
        bf16* d_before = m.out<bf16>(wide);
        float *d_w = m.update<float>(size_t(c.C) * c.F),
              *d_b = c.ffn_bias && !norm_sums ? m.update<float>(c.C) : nullptr,
              *d_before_b = c.ffn_bias && gelu_sums ? m.update<float>(c.F) : nullptr;
        bf16 *d_out = m.in<bf16>(n), *act = m.in<bf16>(act_size), *before = m.in<bf16>(wide),
             *w = m.in<bf16>(size_t(c.C) * c.F);
        m.products(4.0 * N * c.F * c.C);
        return [=, this](On on) {
            if (gate) swiglu_linear_backward(d_before, d_w, d_b, d_out, act, before, w, N, c.F, c.C, on);
            else gelu_linear_backward(d_before, d_w, d_b, d_before_b, d_out, act, before, w, N, c.F, c.C, on);
        };
    });
}

// The steps of dev/doc/gemm.md that are kernels of their own, at one shape.
void BenchRows::ladder() {
    const auto rung = [&](const std::string& name, auto product) {
        add("ladder " + name, {{"N", N}, {"C", c.C}, {"OC", qkv}}, 0, [=, this](M& m) -> BenchLaunch {
            bf16 *y = m.out<bf16>(size_t(N) * qkv), *x = m.in<bf16>(n), *w = m.in<bf16>(size_t(qkv) * c.C);
            m.products(2.0 * N * c.C * qkv);
            return [=, this](On on) { product(y, AlongK<bf16>{x, c.C, N}, AlongK<bf16>{w, c.C, qkv}, c.C, qkv, on); };
        });
    };
    rung("2, no tensor cores", [](bf16* y, AlongK<bf16> a, AlongK<bf16> b, int K, int, On on) {
        linear_product<8>(y, a, b, static_cast<const bf16*>(nullptr), Into::assign, K, on);
    });
    rung("5, 128 x 128", [](bf16* y, AlongK<bf16> a, AlongK<bf16> b, int K, int OC, On on) {
        linear_tensor_by<LinearTensor<2, 2>>(LinearOut{y, nullptr, OC}, a, b, K, on);
    });
    rung("6, 128 x 256", [](bf16* y, AlongK<bf16> a, AlongK<bf16> b, int K, int OC, On on) {
        linear_tensor_by<LinearTensor<2, 4>>(LinearOut{y, nullptr, OC}, a, b, K, on);
    });
}

void BenchRows::optimizer() {
    const Gpt<Cpu<float>> tables(c, N, Recompute::none, {});  // its layout only: nothing is allocated
    const size_t size = tables.weights.size;
    std::vector<AdamwSegment> segments;
    for (const Parameter& parameter : tables.weights.parameters)
        segments.push_back({parameter.slot.offset, parameter.size(), parameter.decays() ? 0.1f : 0.0f});
    const auto shape = {std::pair<const char*, long>{"parameters ", long(tables.parameters())}};
    add("global_norm", shape, 1, [=](M& m) -> BenchLaunch {
        float *norm = m.out<float>(1), *x = m.in<float>(size);
        return [=](On on) { global_norm(norm, x, size, on); };
    });
    add("adamw", shape, 1, [=](M& m) -> BenchLaunch {
        bf16* weight = m.out<bf16>(size);
        float *master = m.update<float>(size), *first = m.update<float>(size),
              *second = m.update<float>(size, {.low = 0, .high = 1}), *d_weight = m.in<float>(size),
              *norm = m.in<float>(1, {.low = 2, .high = 3});  // above the clip
        AdamwStep* step = m.constants<AdamwStep>({{1e-4f, 0.9f, 0.95f, 1e-8f, 1, 0.1f, 0.05f}});
        AdamwSegment* table = m.constants(segments);
        return [=, count = int(segments.size())](On on) {
            adamw_update(weight, master, first, second, d_weight, norm, step, table, count, on);
        };
    });
}
