#include "model_options.h"
#include <fmt/core.h>
#include "host/base/error.h"
#include "host/base/files.h"
#include "host/base/messages.h"
#include "host/tokenizer/load_tokenizer.h"

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
    take(c.qk_norm, o.qk_norm), take(c.tied, o.tied), take(c.full_every, o.full_every);
    take(c.window, o.window);
    if (c.window == 0) c.window_from = 0, c.full_every = o.full_every.value_or(0);
    if (o.rope_factor && *o.rope_factor != 1) {
        if (c.rope_scaling.factor == 1) c.rope_scaling.original_context = before.T;
        c.rope_scaling.factor = float(*o.rope_factor);
    } else if (o.rope_factor) {
        c.rope_scaling = {};
    }
    if (!loads_weights(o)) take(c.T, o.context);
    else if (c.position == Position::rope) c.T = std::max(c.T, o.context.value_or(0));

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

Config with_context(Config c, std::optional<int> context) {
    if (context.value_or(0) <= c.T) return c;
    if (c.position != Position::rope)
        throw Error(
            Exit::usage, "--context",
            fmt::format("{} is beyond the model's {}, where its {} positions end", *context, c.T, name_of(c.position)),
            "leave it out");
    c.T = *context;
    return c;
}

std::string extension_text(const Config& a, const Config& b) {
    std::string text;
    const auto compare = [&](const char* what, auto before, auto after) {
        if (before != after) text += fmt::format("{}{} {} -> {}", text.empty() ? "" : ", ", what, before, after);
    };
    compare("context", a.T, b.T);
    compare("RoPE's theta", a.rope_theta, b.rope_theta);
    compare("RoPE's factor", a.rope_scaling.factor, b.rope_scaling.factor);
    compare("window", a.window, b.window);
    compare("layers between full ones", a.full_every, b.full_every);
    return text;
}

void warn_of_extension(const Config& before, const Config& after) {
    const std::string text = extension_text(before, after);
    if (!text.empty()) warn("--context: " + text + ": the model was not made for it");
}

double peak_lr(const Options& o, const Config& c) { return o.lr.value_or(0.384 / c.C); }

std::optional<MuonScale> muon_of(const Options& o) {
    return o.optimizer == Optimizer::muon ? std::optional(o.muon_scale) : std::nullopt;
}

double muon_lr(const Options& o, const Config& c) { return o.muon_lr.value_or(3 * peak_lr(o, c)); }

Tokenizer given_tokenizer(const Options& options) {
    const auto kind = from_name<TokenizerKind>(options.tokenizer);
    if (!kind || files::exists(options.tokenizer)) return load_tokenizer(options.tokenizer, options.pattern);
    if (*kind == TokenizerKind::byte) return byte_tokenizer();
    throw Error(Exit::usage, "--tokenizer " + printable(options.tokenizer), "is learned from a text",
                "name a tokenizer's file or directory");
}

TextReading reading_of(const Options& o) {
    return {o.format, o.field, o.skip_bad_lines ? BadLines::skipped : BadLines::refused};
}

Sampling sampling_of(const Options& o) {
    return {.temperature = float(o.temperature), .top_p = float(o.top_p), .min_p = float(o.min_p), .top_k = o.top_k};
}
