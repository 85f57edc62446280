#include "config.h"

#include <climits>
#include <cmath>

namespace {

// What the models of a family share; the rows below give the sizes. F is default_ffn's where a row does not say.
Config gpt2(Config c) {
    c.NKV = c.NH;
    c.F = 4 * c.C;
    return c;
}
Config nanogpt(Config c) {
    c.qkv_bias = c.proj_bias = c.ffn_bias = c.norm_bias = false;
    return gpt2(c);
}
Config llama(Config c) {
    c.norm = Norm::rmsnorm;
    c.position = Position::rope;
    c.activation = Activation::swiglu;
    c.qkv_bias = c.proj_bias = c.ffn_bias = c.norm_bias = false;
    c.init = InitScheme::plain;
    return c;
}
Config cs336(Config c) {
    c = llama(c);
    c.NKV = c.NH;
    c.rope_pairs = RopePairs::interleaved;
    c.init = InitScheme::cs336;
    c.tied = false;
    if (!c.F) c.F = default_ffn(c.C, c.activation);
    return c;
}
Config llama2(Config c) {
    c.NKV = c.NH;
    c.tied = false;
    return llama(c);
}
// The first one, v0.1: all later ones see everything.
Config mistral(Config c) {
    c.NKV = 8;
    c.window = 4096;
    c.tied = false;
    return llama(c);
}
// 3.1 and 3.2 stretch RoPE by a factor beyond the 8192 positions of pretraining. The small ones tie the head.
Config llama3(Config c, float factor) {
    c.V = 128256;
    c.NKV = 8;
    c.rope_theta = 5e5f;
    c.rope_scaling = {.factor = factor, .original_context = 8192};
    c.tied = c.C < 4096;
    return llama(c);
}
// V is that of the embedding, which Qwen pads beyond the tokenizer's, and in 2.5 more so where the head is not tied.
Config qwen2(Config c) {
    c.tied = c.C < 3584;
    c.V = c.tied ? 151936 : 152064;
    c = llama(c);
    c.qkv_bias = true;
    c.norm_eps = 1e-6f;
    c.rope_theta = 1e6f;
    return c;
}
Config qwen3(Config c) {
    c = qwen2(c);
    c.V = 151936;
    c.qkv_bias = false;
    c.qk_norm = true;
    return c;
}

}  // namespace

// clang-format off
const std::vector<Preset>& presets() {
    static const std::vector<Preset> table = {
    // A width of 128 wants larger initial weights than GPT-2's: 1200 steps on the stories end 2% above the ideal loss
    // with 0.08, 17% above it with 0.02, where attention has not yet learned to look back.
    {"tiny",  "gpt2", gpt2({.T = 128, .V = 256, .L = 3, .C = 128, .NH = 4, .HS = 32, .init_std = 0.08f})},
    {"baby",  "gpt2", nanogpt({.T = 256, .V = 256, .L = 6, .C = 384, .NH = 6, .HS = 64, .dropout = 0.2f})},

    {"gpt2",        "gpt2", gpt2({.T = 1024, .V = 50257, .L = 12, .C =  768, .NH = 12, .HS = 64})},
    {"gpt2-medium", "gpt2", gpt2({.T = 1024, .V = 50257, .L = 24, .C = 1024, .NH = 16, .HS = 64})},
    {"gpt2-large",  "gpt2", gpt2({.T = 1024, .V = 50257, .L = 36, .C = 1280, .NH = 20, .HS = 64})},
    {"gpt2-xl",     "gpt2", gpt2({.T = 1024, .V = 50257, .L = 48, .C = 1600, .NH = 25, .HS = 64})},

    {"cs336-small",  "cs336", cs336({.T = 1024, .V = 50257, .L = 12, .C =  768, .NH = 12, .HS = 64, .F = 0})},
    {"cs336-medium", "cs336", cs336({.T = 1024, .V = 50257, .L = 24, .C = 1024, .NH = 16, .HS = 64, .F = 0})},
    {"cs336-large",  "cs336", cs336({.T = 1024, .V = 50257, .L = 36, .C = 1280, .NH = 20, .HS = 64, .F = 0})},
    {"cs336-xl",     "cs336", cs336({.T = 1024, .V = 50257, .L = 48, .C = 1600, .NH = 25, .HS = 64, .F = 6400})},
    {"cs336-2.7b",   "cs336", cs336({.T = 1024, .V = 50257, .L = 32, .C = 2560, .NH = 32, .HS = 80, .F = 0})},

    {"llama2-7b",   "llama", llama2({.T = 4096, .V = 32000, .L = 32, .C = 4096, .NH = 32, .HS = 128, .F = 11008})},
    {"mistral-7b",  "mistral", mistral({.T = 32768, .V = 32000, .L = 32, .C = 4096, .NH = 32, .HS = 128, .F = 14336})},
    {"llama3-8b",   "llama", llama3({.T = 8192, .L = 32, .C = 4096, .NH = 32, .HS = 128, .F = 14336}, 1)},
    {"llama3.1-8b", "llama", llama3({.T = 131072, .L = 32, .C = 4096, .NH = 32, .HS = 128, .F = 14336}, 8)},
    {"llama3.2-1b", "llama", llama3({.T = 131072, .L = 16, .C = 2048, .NH = 32, .HS =  64, .F =  8192}, 32)},
    {"llama3.2-3b", "llama", llama3({.T = 131072, .L = 28, .C = 3072, .NH = 24, .HS = 128, .F =  8192}, 32)},

    {"qwen2.5-0.5b", "qwen2", qwen2({.T = 32768, .L = 24, .C =  896, .NH = 14, .NKV = 2, .HS =  64, .F =  4864})},
    {"qwen2.5-1.5b", "qwen2", qwen2({.T = 32768, .L = 28, .C = 1536, .NH = 12, .NKV = 2, .HS = 128, .F =  8960})},
    {"qwen2.5-3b",   "qwen2", qwen2({.T = 32768, .L = 36, .C = 2048, .NH = 16, .NKV = 2, .HS = 128, .F = 11008})},
    {"qwen2.5-7b",   "qwen2", qwen2({.T = 131072, .L = 28, .C = 3584, .NH = 28, .NKV = 4, .HS = 128, .F = 18944})},

    {"qwen3-0.6b", "qwen3", qwen3({.T = 40960, .L = 28, .C = 1024, .NH = 16, .NKV = 8, .HS = 128, .F =  3072})},
    {"qwen3-1.7b", "qwen3", qwen3({.T = 40960, .L = 28, .C = 2048, .NH = 16, .NKV = 8, .HS = 128, .F =  6144})},
    {"qwen3-4b",   "qwen3", qwen3({.T = 40960, .L = 36, .C = 2560, .NH = 32, .NKV = 8, .HS = 128, .F =  9728})},
    {"qwen3-8b",   "qwen3", qwen3({.T = 40960, .L = 36, .C = 4096, .NH = 32, .NKV = 8, .HS = 128, .F = 12288})},
    };
    return table;
}
// clang-format on

const Config* find_preset(std::string_view name) {
    for (const Preset& p : presets())
        if (name == p.name) return &p.config;
    return nullptr;
}

int default_ffn(int C, Activation activation) {
    if (activation != Activation::swiglu) return int(std::min<int64_t>(4 * int64_t(C), INT_MAX));
    return int(std::min<int64_t>((8 * int64_t(C) + 3 * 64 - 1) / (3 * 64) * 64, INT_MAX));
}

std::vector<std::string> problems(const Config& c, int64_t batch) {
    std::vector<std::string> found;
    auto number = [](auto x) { return std::to_string(x); };
    auto need = [&](bool ok, const std::string& why) {
        if (!ok) found.push_back(why);
    };

    // The limits keep every product of sizes within 64 bits; no known model comes near them.
    const struct {
        const char* name;
        int value, most;
    } sizes[] = {{"context", c.T, 1 << 24},          {"vocabulary", c.V, 1 << 24},
                 {"number of layers", c.L, 1 << 12}, {"width", c.C, 1 << 20},
                 {"number of heads", c.NH, 1 << 12}, {"number of key/value heads", c.NKV, 1 << 12},
                 {"head size", c.HS, 1 << 12},       {"feed-forward width", c.F, 1 << 22}};
    for (const auto& s : sizes) {
        need(s.value >= 1 && s.value <= s.most,
             std::string("a ") + s.name + " of " + number(s.value) + " is not in 1.." + number(s.most));
    }
    need(batch >= 1 && batch <= INT_MAX, "a batch of " + number(batch) + " sequences is not in 1.." + number(INT_MAX));
    auto positive = [](float x) { return std::isfinite(x) && x > 0; };
    need(positive(c.rope_theta), "RoPE's theta is not a positive number");
    need(positive(c.norm_eps), "the epsilon of the norms is not a positive number");
    need(c.dropout >= 0 && c.dropout < 1, "dropout is not in 0 <= p < 1");
    need(std::isfinite(c.init_std) && c.init_std >= 0, "the deviation of the initial weights is not a number >= 0");
    need(positive(c.rope_scaling.factor) && positive(c.rope_scaling.low_frequency) &&
             c.rope_scaling.original_context >= 1 && positive(c.rope_scaling.high_frequency) &&
             c.rope_scaling.high_frequency > c.rope_scaling.low_frequency,
         "RoPE's scaling is out of range");
    need(c.norm != Norm::rmsnorm || !c.norm_bias, "an RMSNorm has no bias");
    need(c.window >= 0 && c.window <= 1 << 24,
         "a window of " + number(c.window) + " tokens is not in 0.." + number(1 << 24));
    need(c.window > 0 || (c.window_from == 0 && c.full_every == 0),
         "layers that see all among those that slide ask for a window");
    bool any = false;
    for (int l = 0; l < std::min(c.L, 1 << 12); l++) any = any || c.slides(l);
    need(c.window_from >= 0 && c.full_every >= 0 && (any || c.window <= 0), "no layer would slide");
    if (!found.empty()) return found;

    need(c.NH % c.NKV == 0, number(c.NH) + " heads cannot share " + number(c.NKV) + " key/value heads evenly");
    need(c.position != Position::rope || c.HS % 2 == 0,
         "RoPE turns pairs, and a head size of " + number(c.HS) + " is odd");
    need(batch * c.T <= INT_MAX,
         number(batch) + " sequences of " + number(c.T) + " tokens are more than 2^31 - 1 in all");
    const int64_t QKV = (c.NH + 2 * int64_t(c.NKV)) * c.HS, up = c.F * (c.activation == Activation::swiglu ? 2 : 1);
    const int64_t layer = c.C * (QKV + int64_t(c.NH) * c.HS + up + c.F);
    const int64_t parameters = c.L * layer + int64_t(c.C) * (2 * int64_t(c.V) + c.T);
    need(parameters < int64_t(1) << 42, "it would have " + number(parameters) + " parameters; 2^42 is the most");
    return found;
}
