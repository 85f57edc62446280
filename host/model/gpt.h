// The model: a table of weights, a table of activations, forward, and its mirror, backward.
//
//   B batch   T time   N = B*T tokens   C channels   V vocabulary   P = V padded   L layers   F feed-forward width
//   NH query heads   NKV key/value heads   HS head size   QKV = (NH + 2*NKV) * HS
#pragma once
#include "config.h"
#include "host/reference/attention_decode.h"
#include "host/reference/cross_entropy_fused.h"
#include "host/reference/dropout.h"
#include "host/reference/embedding.h"
#include "host/reference/linear_fused.h"
#include "host/reference/qk_norm_rope.h"
#include "host/reference/relu.h"
#include "host/reference/residual_norm.h"
#include "kv_cache.h"
#include "layout.h"

enum class Use { infer, train };  // only training needs memory for gradients

// Tokens of B sequences of T, in device memory. target and first may be null: no loss; every earlier token is visible.
struct Batch {
    int B, T;
    const int *token, *target, *position, *first;  // (B,T)
    Cached cached = Cached::no;
    std::span<const int> sequences = {};  // of the cache, all of which get the prompt's keys and values
};

// How many of N rows of P logits are kept at a time. If all of them need more memory than this, the head processes the
// batch in parts.
constexpr size_t most_logits_bytes = size_t(8) << 30;
constexpr int rows_of_logits(int N, int P, size_t element_bytes) {
    const size_t fit = std::max<size_t>(most_logits_bytes / (size_t(P) * element_bytes) / 128, 1) * 128;
    return int(std::min<size_t>(fit, size_t(N)));
}
static_assert(rows_of_logits(64 * 1024, 50304, 2) == 64 * 1024 && rows_of_logits(64 * 1024, 151936, 2) == 28160);

struct NormWeights {
    Slot weight, bias;
};
struct LinearWeights {
    Slot weight, bias;
    int C, OC;
};
struct BlockWeights {
    NormWeights norm1, norm2;
    LinearWeights qkv, proj, up, down;
    Slot q_norm, k_norm;
};

struct NormActs {
    Slot out, mean, rstd;
};
struct BlockActs {
    Slot in, qkv_raw, qk_rstd, qkv, att, lse, mid, up, act;
    NormActs norm1, norm2;
};

template <class Device>
struct Gpt {
    using Real = typename Device::Real;
    using Stat = typename Device::Stat;

    const Config c;
    const int T = c.T, C = c.C, V = c.V, NH = c.NH, NKV = c.NKV, HS = c.HS, F = c.F, QKV = (NH + 2 * NKV) * HS;
    const int up_width = c.activation == Activation::swiglu ? 2 * F : F;
    const int P = (V + Device::vocab_multiple - 1) / Device::vocab_multiple * Device::vocab_multiple;
    const int N_max;      // tokens that fit: every forward may use fewer
    const int head_rows;  // rows of logits kept at a time
    const Recompute recompute;
    Device on;

    Layout weights, acts, stats;
    std::vector<BlockWeights> wb;
    std::vector<BlockActs> ab;
    Slot wte, wpe, head;  // weights outside the blocks
    NormWeights norm_f;
    Slot out, logits, lse_out, losses, sinusoids, cos, sin;  // activations outside the blocks, and constants
    NormActs norm_out;
    Slot branch, d_x, d_c, d_att, d_wide;  // scratch: one tensor each, reused by every block

    KvCache<Real> cache;    // for generation, where allocate_cache() made it
    Buffer<Real> w, x;      // weights, activations
    Buffer<Stat> dw, stat;  // gradients of the weights, statistics
    Noise* noise;           // in device memory: set by the trainer before each micro-batch
    Stat* d_loss;           // likewise: 1 / valid targets of the whole batch
    int logits_begin = 0;   // the token whose logits come first in memory

    // Lays out the tables only; allocate() makes them memory. N: the most tokens a forward will see. rows: logits rows
    // kept at a time; 0 = training's default.
    Gpt(const Config& config, int N, Recompute recompute, Device device) : Gpt(config, N, recompute, device, 0) {}
    Gpt(const Config& config, int N, Recompute recompute, Device device, int rows)
        : c(config),
          N_max(N),
          head_rows(rows ? rows : rows_of_logits(N, P, sizeof(Real))),
          recompute(recompute),
          on(device) {
        wte = weights.add("wte", {V, C}, Init::embedding, size_t(P) * C);
        if (c.position == Position::learned) wpe = weights.add("wpe", {T, C}, Init::embedding);
        for (int l = 0; l < c.L; l++) wb.push_back(block_weights("h." + std::to_string(l) + "."));
        norm_f = norm_weights("norm_f");
        head = c.tied ? wte : weights.add("head", {V, C}, Init::linear, size_t(P) * C);
        lay_out_activations();
    }

    void allocate(Use use = Use::train) {
        w.data = on.template allocate<Real>(weights.size);
        if (use == Use::train) dw.data = on.template allocate<Stat>(weights.size);
        x.data = on.template allocate<Real>(acts.size);
        stat.data = on.template allocate<Stat>(stats.size);
        noise = on.template allocate<Noise>(1);
        d_loss = on.template allocate<Stat>(1);
        fill_constants();
    }

    // Room for the keys and values of B sequences of at most TT tokens. Replaces an earlier cache.
    void allocate_cache(int B, int TT) {
        const size_t sequence = size_t(NKV) * TT * HS, all = sequence * B * c.L;
        cache = {on.template allocate<Real>(all), on.template allocate<Real>(all), B, TT, sequence};
    }

    size_t parameters() const {
        return std::accumulate(weights.parameters.begin(), weights.parameters.end(), size_t(0),
                               [](size_t n, const Parameter& parameter) { return n + parameter.size(); });
    }

    // Logits, and the loss of every token where the batch has targets. To train, *d_loss times its gradient flows back
    // through the head at once, so that no more than head_rows rows of logits are ever needed.
    void forward(const Batch& b, float dropout = 0, Use use = Use::infer) {
        const auto range = on.range("forward");
        const int N = b.B * b.T;
        forward_blocks(b, dropout);
        for (int n = 0; n < N; n += head_rows) forward_head(n, std::min(head_rows, N - n), b.target, use);
    }

    // Everything but the head: all that is needed of a prompt.
    void forward_blocks(const Batch& b, float dropout = 0) {
        const int N = b.B * b.T;
        REQUIRE(N <= N_max && b.T <= T);
        embedding_forward(x[block_in(0)], b.token, b.position, w[wte], position_table(), N, C, on);
        drop_forward(block_in(0), site(c.L, 0), dropout, N);
        norm_forward(block_norm(0), block_in(0), block_norm_weights(0), N);
        for (int l = 0; l < c.L; l++) forward_block(l, b, dropout);
    }

    // logits = head(norm(out)) of the tokens first .. first + rows - 1
    void forward_head(int first, int rows, const int* target, Use use) {
        const Real* inp = x[norm_out.out] + size_t(first) * C;
        Stat *loss = stat[losses] + first, *lse = stat[lse_out] + first;
        logits_begin = first;
        linear_forward(x[logits], inp, w[head], static_cast<const Real*>(nullptr), rows, C, P, on);
        if (use == Use::train) {
            Device here = on;
            if (first > 0) here.into = Into::add;
            cross_entropy_fused(loss, lse, x[logits], d_loss, target + first, rows, V, P, on);
            linear_backward(x[d_c] + size_t(first) * C, dw[head], static_cast<Stat*>(nullptr), x[logits], inp, w[head],
                            rows, C, P, here);
        } else if (target) {
            cross_entropy_forward(loss, lse, x[logits], target + first, rows, V, P, on);
        }
    }
    const Real* logits_of(int n) const {
        return x[logits] + size_t(n - logits_begin) * P;
    }  // the last head_rows tokens have them

    // Adds the rest of *d_loss * d(sum of losses)/d(weights) into dw, or, with on.into, makes it dw, whatever was there;
    // forward must have run on the same batch, to train.
    void backward(const Batch& b, float dropout = 0) {
        const auto range = on.range("backward");
        const int N = b.B * b.T;
        on.zero(x[d_x], size_t(N) * C);
        norm_backward(norm_f, norm_out, out, N);
        for (int l = c.L - 1; l >= 0; l--) backward_block(l, b, dropout);
        drop_backward(d_x, d_x, site(c.L, 0), dropout, N);
        if (on.into == Into::assign) {  // the embedding only adds; a tied head was here before it
            if (!c.tied) on.zero(dw[wte], size_t(V) * C);
            if (wpe) on.zero(dw[wpe], size_t(T) * C);
        }
        embedding_backward(dw[wte], dw[wpe], x[d_x], b.token, b.position, N, C, V, T, on);
    }

    // norm1 = norm(in), which the block before leaves behind
    // mid = in  + drop(proj(attention(rope(qk_norm(qkv(norm1))))))
    // out = mid + drop(down(activation(up(norm2(mid)))))
    void forward_block(int l, const Batch& b, float dropout) {
        const auto range = on.range("forward of block", l);
        const BlockActs& a = ab[l];
        const int N = b.B * b.T;
        forward_attention(l, b, dropout);
        forward_mlp_inputs(l, N);
        project(branch, a.act, wb[l].down, N);
        drop_forward(branch, site(l, 2), dropout, N);
        residual_norm_forward(block_in(l + 1), block_norm(l + 1), a.mid, block_norm_weights(l + 1), N);
    }

    void forward_attention(int l, const Batch& b, float dropout) {  // from norm1 to norm2
        const BlockWeights& p = wb[l];
        const BlockActs& a = ab[l];
        const int N = b.B * b.T;
        project(a.qkv_raw, a.norm1.out, p.qkv, N);
        heads_forward(a, p, b);
        attend(l, b, dropout);
        project(branch, a.att, p.proj, N);
        drop_forward(branch, site(l, 1), dropout, N);
        residual_norm_forward(a.mid, a.norm2, a.in, p.norm2, N);
    }

    void attend(int l, const Batch& b, float dropout) {
        const BlockActs& a = ab[l];
        const auto keys = [&](int sequence) { return cache.keys + cache.at(l, sequence); };
        const auto values = [&](int sequence) { return cache.values + cache.at(l, sequence); };
        if (b.cached == Cached::extend) {
            REQUIRE(b.T == 1 && b.B == cache.B);
            return attention_decode(x[a.att], keys(0), values(0), x[a.qkv], b.position, b.B, cache.T, NH, NKV, HS, on);
        }
        attention_forward(x[a.att], stat[a.lse], x[a.qkv], b.first, drop(site(l, 0), dropout), b.B, b.T, NH, NKV, HS,
                          on);
        if (b.cached == Cached::no) return;
        REQUIRE(b.B == 1 && b.T <= cache.T);
        for (int i : b.sequences) attention_keep(keys(i), values(i), x[a.qkv], b.T, cache.T, NH, NKV, HS, on);
    }

    void forward_mlp_inputs(int l, int N) {  // from norm2 to what `down` multiplies
        const BlockActs& a = ab[l];
        const LinearWeights& up = wb[l].up;
        const Real *inp = x[a.norm2.out], *weight = w[up.weight], *bias = w[up.bias];
        switch (c.activation) {
            case Activation::gelu: return linear_gelu_forward(x[a.act], x[a.up], inp, weight, bias, N, C, F, on);
            case Activation::swiglu: return linear_swiglu_forward(x[a.act], x[a.up], inp, weight, bias, N, C, F, on);
            case Activation::relu:
                linear_forward(x[a.up], inp, weight, bias, N, C, F, on);
                return relu_forward(x[a.act], x[a.up], size_t(N) * F, on);
        }
    }

    // d_wide, the gradient of `up`, from that of the branch.
    void backward_mlp_inputs(int l, Slot d_out, int N) {
        const BlockActs& a = ab[l];
        const LinearWeights& down = wb[l].down;
        Real* d = x[d_wide];
        Stat *d_weight = dw[down.weight], *d_bias = dw[down.bias];
        const Real *weight = w[down.weight], *act = x[a.act], *up = x[a.up];
        switch (c.activation) {
            case Activation::gelu:
                return gelu_linear_backward(d, d_weight, d_bias, x[d_out], act, up, weight, N, F, C, on);
            case Activation::swiglu:
                return swiglu_linear_backward(d, d_weight, d_bias, x[d_out], act, up, weight, N, F, C, on);
            case Activation::relu:
                linear_backward(d, d_weight, d_bias, x[d_out], act, weight, N, F, C, on);
                return relu_backward(d, d, up, size_t(N) * F, on);
        }
    }

    // Recomputes what the forward pass did not keep of block l. The last block's is still there.
    void forward_again(int l, const Batch& b, float dropout) {
        if (recompute == Recompute::none || l + 1 == c.L) return;
        const BlockActs& a = ab[l];
        const int N = b.B * b.T;
        if (recompute == Recompute::block)
            norm_forward(a.norm1, a.in, wb[l].norm1, N), forward_attention(l, b, dropout);
        else norm_forward(a.norm2, a.mid, wb[l].norm2, N);
        forward_mlp_inputs(l, N);
    }

    // The same lines, bottom to top. d_x enters as the gradient of `out` and leaves as that of `in`;
    // a residual needs no line: it passes d_x through, and norm_backward adds the branch's share to it.
    void backward_block(int l, const Batch& b, float dropout) {
        const auto range = on.range("backward of block", l);
        const BlockWeights& p = wb[l];
        const BlockActs& a = ab[l];
        const int N = b.B * b.T;
        forward_again(l, b, dropout);

        backward_mlp_inputs(l, drop_backward(branch, d_x, site(l, 2), dropout, N), N);
        project_backward(d_c, d_wide, a.norm2.out, p.up, N);
        norm_backward(p.norm2, a.norm2, a.mid, N);

        project_backward(d_att, drop_backward(branch, d_x, site(l, 1), dropout, N), a.att, p.proj, N);
        attention_backward(x[d_wide], x[d_att], x[a.att], stat[a.lse], x[a.qkv], b.first, drop(site(l, 0), dropout),
                           b.B, b.T, NH, NKV, HS, on);
        heads_backward(a, p, b);
        project_backward(d_c, d_wide, a.norm1.out, p.qkv, N);
        norm_backward(p.norm1, a.norm1, a.in, N);
    }

private:
    // The layers whose kind the configuration chooses.
    void norm_forward(const NormActs& a, Slot inp, const NormWeights& p, int N) {
        if (c.norm == Norm::rmsnorm) rmsnorm_forward(x[a.out], stat[a.rstd], x[inp], w[p.weight], c.norm_eps, N, C, on);
        else
            layernorm_forward(x[a.out], stat[a.mean], stat[a.rstd], x[inp], w[p.weight], w[p.bias], c.norm_eps, N, C,
                              on);
    }
    // sum = inp + branch, and its norm
    void residual_norm_forward(Slot sum, const NormActs& a, Slot inp, const NormWeights& p, int N) {
        if (c.norm == Norm::rmsnorm)
            residual_rmsnorm_forward(x[sum], x[a.out], stat[a.rstd], x[inp], x[branch], w[p.weight], c.norm_eps, N, C,
                                     on);
        else
            residual_layernorm_forward(x[sum], x[a.out], stat[a.mean], stat[a.rstd], x[inp], x[branch], w[p.weight],
                                       w[p.bias], c.norm_eps, N, C, on);
    }
    void norm_backward(const NormWeights& p, const NormActs& a, Slot inp, int N) {  // d_x += from d_c
        if (c.norm == Norm::rmsnorm)
            rmsnorm_backward(x[d_x], dw[p.weight], x[d_c], x[inp], w[p.weight], stat[a.rstd], N, C, on);
        else
            layernorm_backward(x[d_x], dw[p.weight], dw[p.bias], x[d_c], x[inp], w[p.weight], stat[a.mean],
                               stat[a.rstd], N, C, on);
    }
    // qkv from qkv_raw, and back in d_wide.
    void heads_forward(const BlockActs& a, const BlockWeights& p, const Batch& b) {
        const int N = b.B * b.T;
        const bool rope = c.position == Position::rope;
        if (c.qk_norm && rope)
            qk_norm_rope_forward(x[a.qkv], stat[a.qk_rstd], x[a.qkv_raw], w[p.q_norm], w[p.k_norm], b.position,
                                 stat[cos], stat[sin], c.rope_pairs, c.norm_eps, N, NH, NKV, HS, on);
        else if (c.qk_norm)
            qk_norm_forward(x[a.qkv], stat[a.qk_rstd], x[a.qkv_raw], w[p.q_norm], w[p.k_norm], c.norm_eps, N, NH, NKV,
                            HS, on);
        else if (rope) rope_forward(x[a.qkv], b.position, stat[cos], stat[sin], c.rope_pairs, N, NH, NKV, HS, on);
    }
    void heads_backward(const BlockActs& a, const BlockWeights& p, const Batch& b) {
        const int N = b.B * b.T;
        const bool rope = c.position == Position::rope;
        Real* d = x[d_wide];
        if (c.qk_norm && rope)
            qk_norm_rope_backward(d, dw[p.q_norm], dw[p.k_norm], d, x[a.qkv_raw], w[p.q_norm], w[p.k_norm],
                                  stat[a.qk_rstd], b.position, stat[cos], stat[sin], c.rope_pairs, N, NH, NKV, HS, on);
        else if (c.qk_norm)
            qk_norm_backward(d, dw[p.q_norm], dw[p.k_norm], d, x[a.qkv_raw], w[p.q_norm], w[p.k_norm], stat[a.qk_rstd],
                             N, NH, NKV, HS, on);
        else if (rope) rope_backward(d, b.position, stat[cos], stat[sin], c.rope_pairs, N, NH, NKV, HS, on);
    }
    void project(Slot out, Slot inp, const LinearWeights& p, int N) {
        linear_forward(x[out], x[inp], w[p.weight], w[p.bias], N, p.C, p.OC, on);
    }
    void project_backward(Slot d_inp, Slot d_out, Slot inp, const LinearWeights& p, int N) {
        linear_backward(x[d_inp], dw[p.weight], dw[p.bias], x[d_out], x[inp], w[p.weight], N, p.C, p.OC, on);
    }

    // Dropout at a site of layer l: 0 attention probabilities, 1 and 2 the two branches; layer L: the embedding.
    static uint32_t site(int l, int place) { return uint32_t(3 * l + place); }
    Dropout drop(uint32_t site, float p) const { return {p, site, noise}; }
    void drop_forward(Slot t, uint32_t site, float p, int N) {
        if (p > 0) dropout_forward(x[t], x[t], drop(site, p), N, C, on);
    }
    Slot drop_backward(Slot d_inp, Slot d_out, uint32_t site, float p, int N) {  // where the gradient then is
        if (p == 0) return d_out;
        dropout_backward(x[d_inp], x[d_out], drop(site, p), N, C, on);
        return d_inp;
    }

    const Real* position_table() const { return c.position == Position::sinusoidal ? x[sinusoids] : w[wpe]; }
    // What flows into block l, and its norm; those of "block" L go to the head.
    Slot block_in(int l) const { return l < c.L ? ab[l].in : out; }
    const NormActs& block_norm(int l) const { return l < c.L ? ab[l].norm1 : norm_out; }
    const NormWeights& block_norm_weights(int l) const { return l < c.L ? wb[l].norm1 : norm_f; }

    NormWeights norm_weights(const std::string& name) {
        return {weights.add(name + ".weight", {C}, Init::one), c.norm_bias ? weights.add(name + ".bias", {C}) : Slot{}};
    }
    LinearWeights linear_weights(const std::string& name, int in, int out, Init init, bool bias) {
        return {weights.add(name + ".weight", {out, in}, init), bias ? weights.add(name + ".bias", {out}) : Slot{}, in,
                out};
    }
    BlockWeights block_weights(const std::string& h) {
        BlockWeights p;
        p.norm1 = norm_weights(h + "norm1");
        p.qkv = linear_weights(h + "qkv", C, QKV, Init::linear, c.qkv_bias);
        if (c.qk_norm)
            p.q_norm = weights.add(h + "q_norm", {HS}, Init::one),
            p.k_norm = weights.add(h + "k_norm", {HS}, Init::one);
        p.proj = linear_weights(h + "proj", NH * HS, C, Init::residual, c.proj_bias);
        p.norm2 = norm_weights(h + "norm2");
        p.up = linear_weights(h + "up", C, up_width, Init::linear, c.ffn_bias);
        p.down = linear_weights(h + "down", F, C, Init::residual, c.ffn_bias);
        return p;
    }

    NormActs norm_acts() {
        return {acts.add("norm", {N_max, C}), stats.add("mean", {N_max}), stats.add("rstd", {N_max})};
    }
    BlockActs block_acts() {
        BlockActs a;
        a.in = acts.add("in", {N_max, C});
        const BlockActs* shared = ab.empty() ? nullptr : &ab[0];
        if (recompute == Recompute::block && shared) {
            const Slot in = a.in;
            a = *shared;
            a.in = in;
            return a;
        }
        a.norm1 = norm_acts();
        a.qkv = a.qkv_raw = acts.add("qkv", {N_max, QKV});
        if (c.qk_norm) a.qkv = acts.add("qk_norm", {N_max, QKV}), a.qk_rstd = stats.add("qk_rstd", {N_max, NH + NKV});
        a.att = acts.add("att", {N_max, NH * HS});
        a.lse = stats.add("lse", {N_max, NH});
        a.mid = acts.add("mid", {N_max, C});
        if (recompute == Recompute::mlp && shared) {
            a.norm2 = shared->norm2, a.up = shared->up, a.act = shared->act;
            return a;
        }
        a.norm2 = norm_acts();
        a.up = acts.add("up", {N_max, up_width});
        a.act = acts.add("act", {N_max, F});
        return a;
    }
    void lay_out_activations() {
        for (int l = 0; l < c.L; l++) ab.push_back(block_acts());
        out = acts.add("out", {N_max, C});
        norm_out = norm_acts();
        logits = acts.add("logits", {head_rows, P});
        branch = acts.add("branch", {N_max, C});
        d_x = acts.add("d_x", {N_max, C});
        d_c = acts.add("d_c", {N_max, C});
        d_att = acts.add("d_att", {N_max, NH * HS});
        d_wide = acts.add("d_wide", {N_max, std::max(QKV, up_width)});
        lse_out = stats.add("lse_out", {N_max});
        losses = stats.add("losses", {N_max});
        if (c.position == Position::sinusoidal) sinusoids = acts.add("sinusoids", {T, C});
        if (c.position == Position::rope) cos = stats.add("cos", {T, HS / 2}), sin = stats.add("sin", {T, HS / 2});
    }
    void fill_constants() {
        auto fill = [&](auto* device, int columns, auto value) {
            std::vector<std::remove_pointer_t<decltype(device)>> host(size_t(T) * columns);
            for (int t = 0; t < T; t++)
                for (int i = 0; i < columns; i++) host[size_t(t) * columns + i] = value(t, i);
            on.upload(device, host.data(), host.size());
        };
        if (sinusoids) fill(x[sinusoids], C, [&](int t, int i) { return sinusoid(t, i, C); });
        if (cos)
            fill(stat[cos], HS / 2,
                 [&](int t, int i) { return std::cos(t * rope_frequency(i, HS, c.rope_theta, c.rope_scaling)); });
        if (sin)
            fill(stat[sin], HS / 2,
                 [&](int t, int i) { return std::sin(t * rope_frequency(i, HS, c.rope_theta, c.rope_scaling)); });
    }
};
