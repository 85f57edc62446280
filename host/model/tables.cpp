#include "tables.h"

GptTables::GptTables(const Config& config, int N, Recompute recompute, Storage storage)
    : c(config),
      P((V + storage.vocab_multiple - 1) / storage.vocab_multiple * storage.vocab_multiple),
      N_max(N),
      head_rows(storage.rows ? storage.rows : rows_of_logits(N, P, storage.element_bytes)),
      recompute(recompute) {
    wte = weights.add("wte", {V, C}, Init::embedding, size_t(P) * C);
    if (c.position == Position::learned) wpe = weights.add("wpe", {T, C}, Init::embedding);
    for (int l = 0; l < c.L; l++) wb.push_back(block_weights("h." + std::to_string(l) + "."));
    norm_f = norm_weights("norm_f");
    head = c.tied ? wte : weights.add("head", {V, C}, Init::linear, size_t(P) * C);
    lay_out_activations();
}

size_t GptTables::parameters() const {
    size_t count = 0;
    for (const Parameter& parameter : weights.parameters) count += parameter.size();
    return count;
}

NormWeights GptTables::norm_weights(const std::string& name) {
    return {weights.add(name + ".weight", {C}, Init::one), c.norm_bias ? weights.add(name + ".bias", {C}) : Slot{}};
}

// `parts`: the rows of the matrices that are multiplied as one.
LinearWeights GptTables::linear_weights(const std::string& name, int in, std::vector<int> parts, Init init, bool bias) {
    const int out = std::accumulate(parts.begin(), parts.end(), 0);
    const Slot weight = weights.add(name + ".weight", {out, in}, init);
    weights.parameters.back().matrices = std::move(parts);
    return {weight, bias ? weights.add(name + ".bias", {out}) : Slot{}, in, out};
}

BlockWeights GptTables::block_weights(const std::string& h) {
    BlockWeights p;
    p.norm1 = norm_weights(h + "norm1");
    p.qkv = linear_weights(h + "qkv", C, {NH * HS, NKV * HS, NKV * HS}, Init::linear, c.qkv_bias);
    if (c.qk_norm)
        p.q_norm = weights.add(h + "q_norm", {HS}, Init::one), p.k_norm = weights.add(h + "k_norm", {HS}, Init::one);
    p.proj = linear_weights(h + "proj", NH * HS, {C}, Init::residual, c.proj_bias);
    p.norm2 = norm_weights(h + "norm2");
    const std::vector<int> gate_and_up(size_t(up_width / F), F);
    p.up = linear_weights(h + "up", C, gate_and_up, Init::linear, c.ffn_bias);
    p.down = linear_weights(h + "down", F, {C}, Init::residual, c.ffn_bias);
    return p;
}

NormActs GptTables::norm_acts() {
    return {acts.add("norm", {N_max, C}), stats.add("mean", {N_max}), stats.add("rstd", {N_max})};
}

BlockActs GptTables::block_acts() {
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

void GptTables::lay_out_activations() {
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
