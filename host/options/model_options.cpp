#include "model_options.h"
#include "host/base/error.h"

bool is_preset(const Options& o) { return find_preset(o.model) != nullptr; }
bool loads_weights(const Options& o) { return o.command != Command::plan && !is_preset(o) && !o.from_scratch; }

Config model_config(const Options& o, Config c) {
    const Config before = c;
    auto take = [](auto& field, const auto& value) {
        if (value) field = std::remove_reference_t<decltype(field)>(*value);
    };
    take(c.L, o.layers), take(c.C, o.dim), take(c.NH, o.heads), take(c.V, o.vocab);
    take(c.norm, o.norm), take(c.position, o.position), take(c.activation, o.activation),
        take(c.rope_pairs, o.rope_pairs);
    take(c.rope_theta, o.rope_theta), take(c.norm_eps, o.norm_eps), take(c.dropout, o.dropout), take(c.init, o.init);
    take(c.qk_norm, o.qk_norm), take(c.tied, o.tied);
    if (!loads_weights(o)) take(c.T, o.context);

    // Values that were not given follow from those that were.
    if (before.NKV == before.NH) c.NKV = c.NH;
    if ((c.C != before.C || c.NH != before.NH) && c.NH > 0) c.HS = c.C / c.NH;
    if (c.C != before.C || c.activation != before.activation) c.F = default_ffn(c.C, c.activation);
    take(c.NKV, o.kv_heads), take(c.HS, o.head_size), take(c.F, o.ffn);
    if (o.bias) c.qkv_bias = c.proj_bias = c.ffn_bias = c.norm_bias = *o.bias;
    take(c.qkv_bias, o.qkv_bias);
    if (c.norm != before.norm) c.norm_bias = o.bias.value_or(before.proj_bias);
    if (c.norm == Norm::rmsnorm) c.norm_bias = false;
    return c;
}

Config model_config(const Options& o) {
    const Config* base = find_preset(o.model);
    REQUIRE(base);
    return model_config(o, *base);
}

double peak_lr(const Options& o, const Config& c) { return o.lr.value_or(0.384 / c.C); }

Sampling sampling_of(const Options& o) {
    return {.temperature = float(o.temperature), .top_p = float(o.top_p), .min_p = float(o.min_p), .top_k = o.top_k};
}
