// The model: forward, and its mirror, backward, over the tensors of tables.h.
//
//   B batch   T time   N = B*T tokens   C channels   V vocabulary   P = V padded   L layers   F feed-forward width
//   NH query heads   NKV key/value heads   HS head size   QKV = (NH + 2*NKV) * HS   S tokens that a cache has room for
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
#include "tables.h"

enum class Use { infer, train };  // only training needs memory for gradients

// Tokens of B sequences of T, in device memory. target and first may be null: no loss; every earlier token is visible.
struct Batch {
    int B, T;
    const int *token, *target, *position, *first;  // (B,T)
    Cached cached = Cached::no;
    std::span<const int> sequences = {};  // of the cache, all of which get the prompt's keys and values
    const int* first_sliding = nullptr;   // (B,T): `first` of the layers that slide
};

template <class Device>
struct Gpt : GptTables {
    using Real = typename Device::Real;
    using Stat = typename Device::Stat;

    Device on;
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
        : GptTables(config, N, recompute, {Device::vocab_multiple, sizeof(Real), rows}), on(device) {}

    void allocate(Use use = Use::train) {
        w.data = on.template allocate<Real>(weights.size);
        if (use == Use::train) dw.data = on.template allocate<Stat>(weights.size);
        x.data = on.template allocate<Real>(acts.size);
        stat.data = on.template allocate<Stat>(stats.size);
        noise = on.template allocate<Noise>(1);
        d_loss = on.template allocate<Stat>(1);
        fill_constants();
    }

    // Room for the keys and values of B sequences of at most S tokens. Replaces an earlier cache.
    void allocate_cache(int B, int S) {
        const size_t sequence = size_t(NKV) * S * HS, all = sequence * B * c.L;
        cache = {on.template allocate<Real>(all), on.template allocate<Real>(all), B, S, sequence};
    }

    // Logits, and the loss of every token where the batch has targets. To train, *d_loss times its gradient flows back
    // through the head at once, so that no more than head_rows rows of logits are ever needed.
    // `into`: whether gradients of weights are added to what dw holds, or replace it.
    void forward(const Batch& b, float dropout = 0, Use use = Use::infer, Into into = Into::add) {
        const auto range = on.range("forward");
        const int N = b.B * b.T;
        forward_blocks(b, dropout);
        for (int n = 0; n < N; n += head_rows)
            forward_head(n, std::min(head_rows, N - n), b.target, use, n ? Into::add : into);
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
    void forward_head(int first, int rows, const int* target, Use use, Into into = Into::add) {
        const Real* inp = x[norm_out.out] + size_t(first) * C;
        Stat *loss = stat[losses] + first, *lse = stat[lse_out] + first;
        logits_begin = first;
        linear_forward(x[logits], inp, w[head], static_cast<const Real*>(nullptr), rows, C, P, on);
        if (use == Use::train) {
            cross_entropy_fused(loss, lse, x[logits], d_loss, target + first, rows, V, P, on);
            linear_backward(x[d_c] + size_t(first) * C, dw[head], static_cast<Stat*>(nullptr), x[logits], inp, w[head],
                            rows, C, P, on.writing(into));
        } else if (target) {
            cross_entropy_forward(loss, lse, x[logits], target + first, rows, V, P, on);
        }
    }
    // Of token n, one of the last head_rows.
    const Real* logits_of(int n) const { return x[logits] + size_t(n - logits_begin) * P; }

    // Adds the rest of *d_loss * d(sum of losses)/d(weights) into dw, or makes it dw, whatever was there; forward must
    // have run on the same batch, to train, and with the same `into`. Calls ready(from), from the end to the beginning:
    // the gradients of the weights from that element on are what they will be.
    template <class Ready = void (*)(size_t)>
    void backward(
        const Batch& b, float dropout = 0, Into into = Into::add, Ready ready = [](size_t) {}) {
        const auto range = on.range("backward");
        const int N = b.B * b.T;
        on.zero(x[d_x], size_t(N) * C);
        norm_backward(norm_f, norm_out, out, sum_by_norm(block_in_bias(c.L), dropout), N, into);
        ready(norm_f.weight.offset);
        for (int l = c.L - 1; l >= 0; l--) {
            backward_block(l, b, dropout, into);
            ready(wb[l].norm1.weight.offset);
        }
        drop_backward(d_x, d_x, site(c.L, 0), dropout, N);
        if (into == Into::assign) {  // the embedding only adds; a tied head was here before it
            if (!c.tied) on.zero(dw[wte], size_t(V) * C);
            if (wpe) on.zero(dw[wpe], size_t(T) * C);
        }
        embedding_backward(dw[wte], dw[wpe], x[d_x], b.token, b.position, N, C, V, T, on);
        ready(0);
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
            return attention_decode(x[a.att], keys(0), values(0), x[a.qkv], b.position, cache.S, heads(l, b), on);
        }
        attention_forward(x[a.att], stat[a.lse], x[a.qkv], first(l, b), drop(site(l, 0), dropout), heads(l, b), on);
        if (b.cached == Cached::no) return;
        REQUIRE(b.B == 1 && b.T <= cache.S);
        for (int i : b.sequences) attention_keep(keys(i), values(i), x[a.qkv], b.T, cache.S, NH, NKV, HS, on);
    }

    AttentionHead heads(int l, const Batch& b) const {
        return {b.B, b.T, NH, NKV, HS, c.score_divisor(l), c.window_of(l)};
    }
    const int* first(int l, const Batch& b) const {
        REQUIRE(!c.slides(l) || b.first_sliding);
        return c.slides(l) ? b.first_sliding : b.first;
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

    // d_wide, the gradient of `up`, from that of the branch. GELU's pass adds up what it writes:
    // the gradient of `up`'s bias.
    void backward_mlp_inputs(int l, Slot d_out, const LinearWeights& down, int N, Into into) {
        const BlockActs& a = ab[l];
        Real* d = x[d_wide];
        Stat *d_weight = dw[down.weight], *d_bias = dw[down.bias];
        const Real *weight = w[down.weight], *act = x[a.act], *up = x[a.up];
        switch (c.activation) {
            case Activation::gelu:
                return gelu_linear_backward(d, d_weight, d_bias, dw[wb[l].up.bias], x[d_out], act, up, weight, N, F, C,
                                            on.writing(into));
            case Activation::swiglu:
                return swiglu_linear_backward(d, d_weight, d_bias, x[d_out], act, up, weight, N, F, C,
                                              on.writing(into));
            case Activation::relu:
                linear_backward(d, d_weight, d_bias, x[d_out], act, weight, N, F, C, on.writing(into));
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
    void backward_block(int l, const Batch& b, float dropout, Into into) {
        const auto range = on.range("backward of block", l);
        const BlockWeights& p = wb[l];
        const BlockActs& a = ab[l];
        const int N = b.B * b.T;
        forward_again(l, b, dropout);

        const LinearWeights down = sum_by_linear(p.down, dropout), proj = sum_by_linear(p.proj, dropout),
                            up = c.activation == Activation::gelu ? without_bias(p.up) : p.up;
        backward_mlp_inputs(l, drop_backward(branch, d_x, site(l, 2), dropout, N), down, N, into);
        project_backward(d_c, d_wide, a.norm2.out, up, N, into);
        norm_backward(p.norm2, a.norm2, a.mid, sum_by_norm(p.proj.bias, dropout), N, into);

        project_backward(d_att, drop_backward(branch, d_x, site(l, 1), dropout, N), a.att, proj, N, into);
        attention_backward(x[d_wide], x[d_att], x[a.att], stat[a.lse], x[a.qkv], first(l, b), drop(site(l, 0), dropout),
                           heads(l, b), on);
        heads_backward(a, p, b, into);
        project_backward(d_c, d_wide, a.norm1.out, p.qkv, N, into);
        norm_backward(p.norm1, a.norm1, a.in, sum_by_norm(block_in_bias(l), dropout), N, into);
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
    // d_x += from d_c
    void norm_backward(const NormWeights& p, const NormActs& a, Slot inp, Slot inp_bias, int N, Into into) {
        if (c.norm == Norm::rmsnorm)
            rmsnorm_backward(x[d_x], dw[p.weight], x[d_c], x[inp], w[p.weight], stat[a.rstd], N, C, on.writing(into));
        else
            layernorm_backward(x[d_x], dw[p.weight], dw[p.bias], dw[inp_bias], x[d_c], x[inp], w[p.weight],
                               stat[a.mean], stat[a.rstd], N, C, on.writing(into));
    }
    // The gradient of a branch's last bias is the branch's gradient, summed over the tokens. Without dropout that is
    // d_x, as LayerNorm's backward pass leaves it, which then sums it on the way.
    // Else the branch's last linear layer does.
    bool norm_sums(float dropout) const { return c.norm == Norm::layernorm && dropout == 0; }
    Slot sum_by_norm(Slot bias, float dropout) const { return norm_sums(dropout) ? bias : Slot{}; }
    LinearWeights sum_by_linear(const LinearWeights& p, float dropout) const {
        return norm_sums(dropout) ? without_bias(p) : p;
    }
    static LinearWeights without_bias(LinearWeights p) {
        p.bias = {};
        return p;
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
    void heads_backward(const BlockActs& a, const BlockWeights& p, const Batch& b, Into into) {
        const int N = b.B * b.T;
        const bool rope = c.position == Position::rope;
        Real* d = x[d_wide];
        if (c.qk_norm && rope)
            qk_norm_rope_backward(d, dw[p.q_norm], dw[p.k_norm], d, x[a.qkv_raw], w[p.q_norm], w[p.k_norm],
                                  stat[a.qk_rstd], b.position, stat[cos], stat[sin], c.rope_pairs, N, NH, NKV, HS,
                                  on.writing(into));
        else if (c.qk_norm)
            qk_norm_backward(d, dw[p.q_norm], dw[p.k_norm], d, x[a.qkv_raw], w[p.q_norm], w[p.k_norm], stat[a.qk_rstd],
                             N, NH, NKV, HS, on.writing(into));
        else if (rope) rope_backward(d, b.position, stat[cos], stat[sin], c.rope_pairs, N, NH, NKV, HS, on);
    }
    void project(Slot out, Slot inp, const LinearWeights& p, int N) {
        linear_forward(x[out], x[inp], w[p.weight], w[p.bias], N, p.C, p.OC, on);
    }
    void project_backward(Slot d_inp, Slot d_out, Slot inp, const LinearWeights& p, int N, Into into) {
        linear_backward(x[d_inp], dw[p.weight], dw[p.bias], x[d_out], x[inp], w[p.weight], N, p.C, p.OC,
                        on.writing(into));
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
