// Small models with random weights, for what saves and loads them.
#pragma once
#include <numeric>
#include <random>
#include "host/checkpoint/huggingface_config.h"
#include "host/checkpoint/parameter_values.h"
#include "host/model/gpt.h"

struct ToyModel {
    Gpt<Cpu<float>> gpt;

    explicit ToyModel(const Config& c, unsigned seed = 1) : gpt(c, c.T, Recompute::none, Cpu<float>()) {
        gpt.allocate();
        std::mt19937 rng(seed);
        std::normal_distribution<float> normal;
        for (const Parameter& parameter : layout().parameters)
            for (size_t i = 0; i < parameter.size(); i++)
                values(parameter)[i] = (parameter.init == Init::one) + 0.3f * normal(rng);
    }

    const Layout& layout() const { return gpt.weights; }
    float* values(const Parameter& parameter) const { return gpt.w[parameter.slot]; }
    std::vector<float> get(const Parameter& parameter) const {
        return {values(parameter), values(parameter) + parameter.size()};
    }
    GetParameter get() const {
        return [this](const Parameter& parameter, size_t first, std::span<float> out) {
            std::copy_n(values(parameter) + first, out.size(), out.begin());
        };
    }
    SetParameter set() const {
        return [this](const Parameter& parameter, std::span<const float> from) {
            std::copy(from.begin(), from.end(), values(parameter));
        };
    }

    static int token_at(int t, int V) { return (t * 7 + 3) % V; }

    // Of T tokens, (T,P).
    std::vector<float> logits() {
        std::vector<int> token(gpt.T), position(gpt.T), first_sliding(gpt.T);
        std::iota(position.begin(), position.end(), 0);
        for (int t = 0; t < gpt.T; t++) {
            token[t] = token_at(t, gpt.V);
            first_sliding[t] = first_in_window(t, gpt.c.window);
        }
        gpt.forward({.B = 1,
                     .T = gpt.T,
                     .token = token.data(),
                     .target = nullptr,
                     .position = position.data(),
                     .first = nullptr,
                     .first_sliding = first_sliding.data()});
        const float* out = gpt.x[gpt.logits];
        return {out, out + size_t(gpt.T) * gpt.P};
    }
};

template <class Change>
Config with(Config c, Change change) {
    change(c);
    return c;
}

inline Config toy_gpt2() { return {.T = 6, .V = 11, .L = 2, .C = 8, .NH = 2, .NKV = 2, .HS = 4, .F = 10}; }
inline Config toy_llama() {
    Config c = {.T = 6, .V = 11, .L = 2, .C = 8, .NH = 4, .NKV = 2, .HS = 4, .F = 10};
    c.norm = Norm::rmsnorm, c.position = Position::rope, c.activation = Activation::swiglu, c.init = InitScheme::plain;
    c.qkv_bias = c.proj_bias = c.ffn_bias = c.norm_bias = c.tied = false;
    c.norm_eps = 1e-6f;
    return c;
}
inline Config toy_qwen2() {
    return with(toy_llama(), [](Config& c) { c.qkv_bias = c.tied = true; });
}
inline Config toy_qwen3() {
    return with(toy_llama(), [](Config& c) {
        c.qk_norm = true;
        c.HS = 6;
        c.rope_theta = 1e6f;
    });
}
inline Config toy_cs336() {
    return with(toy_llama(), [](Config& c) {
        c.rope_pairs = RopePairs::interleaved;
        c.NKV = 4;
        c.HS = 2;
        c.init = InitScheme::cs336;
    });
}

struct ToyCase {
    const char* name;
    Family family;
    Config config;
};
inline std::vector<ToyCase> toy_cases() {
    const Config gpt2 = toy_gpt2(), llama = toy_llama();
    const auto no_bias = [](Config& c) { c.qkv_bias = c.proj_bias = c.ffn_bias = c.norm_bias = false; };
    return {
        {"gpt2", Family::gpt2, with(gpt2, [](Config& c) { c.dropout = 0.25f; })},
        {"gpt2_untied_relu", Family::gpt2,
         with(gpt2,
              [](Config& c) {
                  c.tied = false;
                  c.activation = Activation::relu;
              })},
        {"gpt2_without_bias", Family::gpt2, with(gpt2, no_bias)},
        {"gpt2_norm_bias_only", Family::gpt2,
         with(gpt2, [](Config& c) { c.qkv_bias = c.proj_bias = c.ffn_bias = false; })},
        {"gpt2_sinusoidal", Family::gpt2, with(gpt2, [](Config& c) { c.position = Position::sinusoidal; })},
        {"gpt2_scores_by_layer", Family::gpt2, with(gpt2, [](Config& c) { c.scores_by_layer = true; })},
        {"llama", Family::llama, llama},
        {"llama_tied_scaled", Family::llama,
         with(llama,
              [](Config& c) {
                  c.tied = true;
                  c.rope_scaling = {8, 1, 4, 4};
              })},
        {"llama_every_bias", Family::llama,
         with(llama, [](Config& c) { c.qkv_bias = c.proj_bias = c.ffn_bias = true; })},
        {"llama_proj_bias_only", Family::llama, with(llama, [](Config& c) { c.proj_bias = true; })},
        {"qwen2", Family::qwen2, toy_qwen2()},
        {"qwen2_interleaved", Family::qwen2,
         with(toy_qwen2(), [](Config& c) { c.rope_pairs = RopePairs::interleaved; })},
        {"qwen3", Family::qwen3, toy_qwen3()},
        {"qwen3_interleaved_bias", Family::qwen3,
         with(toy_qwen3(),
              [](Config& c) {
                  c.rope_pairs = RopePairs::interleaved;
                  c.qkv_bias = true;
              })},
        {"cs336", Family::llama, toy_cs336()},
        {"native_layernorm_rope", Family::native, with(gpt2, [](Config& c) { c.position = Position::rope; })},
        {"native_rmsnorm_gelu", Family::native,
         with(llama,
              [](Config& c) {
                  c.activation = Activation::gelu;
                  c.rope_pairs = RopePairs::interleaved;
              })},
        {"native_llama_scores_by_layer", Family::native, with(llama, [](Config& c) { c.scores_by_layer = true; })},
        {"mistral", Family::mistral, with(llama, [](Config& c) { c.window = 3; })},
        {"qwen2_sliding_from", Family::qwen2, with(toy_qwen2(), [](Config& c) { c.window = 2, c.window_from = 1; })},
        {"qwen3_sliding_but_every_2nd", Family::qwen3,
         with(toy_qwen3(), [](Config& c) { c.window = 2, c.full_every = 2; })},
        {"native_gpt2_sliding", Family::native, with(gpt2, [](Config& c) { c.window = 4, c.dropout = 0.25f; })},
        {"native_gqa_gpt2", Family::native, with(gpt2, [](Config& c) { c.NKV = 1; })},
    };
}
