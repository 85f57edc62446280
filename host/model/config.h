// What kind of Transformer: the choices and the sizes. Presets are rows of a table in config.cpp; flags override them.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>
#include "host/base/names.h"
#include "host/reference/rope_pairs.h"

enum class Norm { layernorm, rmsnorm };
enum class Position { learned, sinusoidal, rope };
enum class Activation { gelu, relu, swiglu };  // gelu is the tanh approximation
enum class InitScheme { gpt2, plain, cs336 };  // see init.h
enum class Recompute { none, mlp, block };     // what backward computes again instead of keeping it

template <>
inline constexpr auto names_of<Norm> = std::to_array({"layernorm", "rmsnorm"});
template <>
inline constexpr auto names_of<Position> = std::to_array({"learned", "sinusoidal", "rope"});
template <>
inline constexpr auto names_of<RopePairs> = std::to_array({"half", "interleaved"});
template <>
inline constexpr auto names_of<Activation> = std::to_array({"gelu", "relu", "swiglu"});
template <>
inline constexpr auto names_of<InitScheme> = std::to_array({"gpt2", "plain", "cs336"});
template <>
inline constexpr auto names_of<Recompute> = std::to_array({"none", "mlp", "block"});

struct Config {
    int T = 1024, V = 50257, L = 12, C = 768, NH = 12, NKV = 12, HS = 64, F = 3072;  // letters: README, "Letters"
    Norm norm = Norm::layernorm;
    Position position = Position::learned;
    Activation activation = Activation::gelu;
    RopePairs rope_pairs = RopePairs::half;
    float rope_theta = 10000;
    RopeScaling rope_scaling = {};
    bool qkv_bias = true, proj_bias = true, ffn_bias = true, norm_bias = true;  // norm_bias: of a LayerNorm
    bool qk_norm = false, tied = true;  // RMSNorm of every query and key head; head = token embedding
    bool scores_by_layer = false;       // GPT-2's scale_attn_by_inverse_layer_idx
    // How many tokens a query of a sliding layer sees, its own included; 0: no layer slides. The first window_from
    // layers do not, and of the others not every full_every'th (0: all of them do).
    int window = 0, window_from = 0, full_every = 0;
    float norm_eps = 1e-5f, dropout = 0, init_std = 0.02f;
    InitScheme init = InitScheme::gpt2;

    int score_divisor(int l) const { return scores_by_layer ? l + 1 : 1; }  // of layer l's scores, beside sqrt(HS)
    bool slides(int l) const {
        return window > 0 && l >= window_from && !(full_every > 0 && (l + 1) % full_every == 0);
    }
    int window_of(int l) const { return slides(l) ? window : 0; }
};

struct Preset {
    const char *name, *family;
    Config config;  // V of tiny and baby is that of bytes: training takes it from the tokenizer
};

const std::vector<Preset>& presets();
const Config* find_preset(std::string_view name);  // null: there is none of that name

// Default F of a model of width C: 4C, or with a gate (a third matrix) 8/3 C, rounded up to a multiple of 64.
int default_ffn(int C, Activation activation);

// Every reason why such a model, fed batch sequences of T, is impossible, in words; empty if it is possible.
// Guards all size arithmetic that follows: run it before a Layout is made of a config that came from outside.
std::vector<std::string> problems(const Config& c, int64_t batch = 1);
