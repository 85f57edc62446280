// What kind of Transformer: the choices and the sizes. Presets are rows of one table in config.cpp; flags override them.
#pragma once
#include <string>
#include <string_view>
#include <vector>

enum class Norm { layernorm, rmsnorm };
enum class Position { learned, sinusoidal, rope };
enum class RopePairs { half, interleaved };            // (i, i + HS/2) as Hugging Face, (2i, 2i+1) as Meta and CS336
enum class Activation { gelu, relu, swiglu };          // gelu is the tanh approximation
enum class InitScheme { gpt2, plain, cs336 };          // see init.h

// Llama-3's stretching of the low RoPE frequencies; factor 1 = none.
struct RopeScaling { float factor = 1, low_frequency = 1, high_frequency = 4; int original_context = 8192; };

struct Config {
    int T = 1024, V = 50257, L = 12, C = 768, NH = 12, NKV = 12, HS = 64, F = 3072;   // letters: README, "Letters"
    Norm norm = Norm::layernorm;
    Position position = Position::learned;
    Activation activation = Activation::gelu;
    RopePairs rope_pairs = RopePairs::half;
    float rope_theta = 10000;
    RopeScaling rope_scaling = {};
    bool qkv_bias = true, proj_bias = true, ffn_bias = true, norm_bias = true;         // norm_bias: of a LayerNorm
    bool qk_norm = false, tied = true;                 // RMSNorm of every query and key head; head = token embedding
    float norm_eps = 1e-5f, dropout = 0, init_std = 0.02f;
    InitScheme init = InitScheme::gpt2;
};
