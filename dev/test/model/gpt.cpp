// Proves Gpt::backward against Gpt::forward with no tolerance to tune: for analytic f,
// f'(w).v = Im f(w + i h v) / h  exactly, because nothing is subtracted (Squire & Trapp 1998).
#include "host/model/gpt.h"
#include <gtest/gtest.h>
#include <random>
#include "dev/test/support/toy_model.h"

namespace {
using Complex = std::complex<double>;

struct Case {
    std::string name;
    Config config;
    float dropout = 0;
    bool documents = false, ignored = false;
    Recompute recompute = Recompute::none;
    int head_rows = 0;  // of logits at a time; 0: all
};

void PrintTo(const Case& k, std::ostream* out) { *out << k.name; }

Config toy() {
    Config c{.T = 6, .V = 11, .L = 2, .C = 8, .NH = 4, .NKV = 4, .HS = 2, .F = 10};
    c.init_std = 0.5f;
    return c;
}
Config llama_with_large_weights() {
    return with(toy_llama(), [](Config& c) { c.init_std = 0.5f; });
}

std::vector<Case> option_cases() {
    const Config gpt2 = toy(), llama = llama_with_large_weights();
    return {
        {"gpt2", gpt2},
        {"gpt2_without_bias",
         with(gpt2, [](Config& c) { c.qkv_bias = c.proj_bias = c.ffn_bias = c.norm_bias = false; })},
        {"gpt2_untied", with(gpt2, [](Config& c) { c.tied = false; })},
        {"gpt2_sinusoidal", with(gpt2, [](Config& c) { c.position = Position::sinusoidal; })},
        {"gpt2_relu", with(gpt2, [](Config& c) { c.activation = Activation::relu; })},
        {"gpt2_scores_by_layer", with(gpt2, [](Config& c) { c.scores_by_layer = true, c.L = 3; })},
        {"gpt2_rope_swiglu", with(gpt2,
                                  [](Config& c) {
                                      c.position = Position::rope;
                                      c.activation = Activation::swiglu;
                                  })},
        {"gpt2_no_layers", with(gpt2, [](Config& c) { c.L = 0; })},
        {"gpt2_dropout", gpt2, 0.3f},
        {"gpt2_documents", gpt2, 0, true},
        {"gpt2_ignored", gpt2, 0, false, true},
        {"gpt2_everything",
         with(gpt2,
              [](Config& c) {
                  c.qk_norm = true;
                  c.NKV = 1;
              }),
         0.2f, true, true},
        {"llama", llama},
        {"llama_tied", with(llama, [](Config& c) { c.tied = true; })},
        {"llama_one_kv_head", with(llama, [](Config& c) { c.NKV = 1; })},
        {"llama_all_kv_heads", with(llama, [](Config& c) { c.NKV = 4; })},
        {"llama_3_scaling", with(llama,
                                 [](Config& c) {
                                     c.rope_scaling = {8, 1, 4, 16};
                                 })},
        {"llama_documents_dropout", llama, 0.4f, true},
        {"llama_learned_layernorm", with(llama,
                                         [](Config& c) {
                                             c.norm = Norm::layernorm;
                                             c.position = Position::learned;
                                         })},
        {"cs336", with(llama,
                       [](Config& c) {
                           c.rope_pairs = RopePairs::interleaved;
                           c.NKV = 4;
                       })},
        {"qwen2", with(llama, [](Config& c) { c.qkv_bias = true; })},
        {"qwen3", with(llama,
                       [](Config& c) {
                           c.qk_norm = true;
                           c.HS = 6;
                       })},
        {"llama_gelu", with(llama, [](Config& c) { c.activation = Activation::gelu; })},
        {"llama_sliding", with(llama, [](Config& c) { c.window = 3; })},
        {"qwen2_sliding_but_every_2nd",
         with(llama,
              [](Config& c) {
                  c.qkv_bias = true;
                  c.L = 3;
                  c.window = 2, c.window_from = 1, c.full_every = 3;
              }),
         0.3f, true, false, Recompute::block},
        {"gpt2_head_in_parts", gpt2, 0.3f, true, true, Recompute::none, 5},
        {"llama_head_in_parts", llama, 0, false, true, Recompute::block, 1},
        {"gpt2_recompute_mlp", gpt2, 0.3f, false, false, Recompute::mlp},
        {"gpt2_recompute_block", gpt2, 0.3f, false, false, Recompute::block},
        {"qwen3_recompute_block",
         with(llama,
              [](Config& c) {
                  c.qk_norm = true;
                  c.L = 3;
              }),
         0, false, false, Recompute::block},
    };
}

// A preset with everything kept but its sizes: heads in the same ratio, a head size apart from C / NH where it had one.
Config shrunk(Config c) {
    const int group = c.NH / c.NKV;
    const bool own_head_size = c.HS * c.NH != c.C;
    c.T = 6, c.V = 11, c.L = 2, c.C = 8, c.NH = group > 1 ? group : 2, c.NKV = c.NH / group, c.F = 10;
    c.HS = own_head_size ? 6 : 4;
    if (c.rope_scaling.factor != 1) c.rope_scaling.original_context = 16;
    if (c.window) c.window = 3;
    return c;
}

std::vector<Case> cases() {
    std::vector<Case> all = option_cases();
    for (const Preset& preset : presets()) {
        std::string name = "preset_" + std::string(preset.name);
        for (char& letter : name)
            if (!std::isalnum(letter)) letter = '_';
        all.push_back({name, shrunk(preset.config), preset.config.dropout});
    }
    return all;
}

struct Tokens {
    std::vector<int> token, target, position, first, first_sliding;
    int valid = 0;
    Tokens(const Case& k, int B, int T, std::mt19937& rng) {
        for (int n = 0; n < B * T; n++) {
            token.push_back(rng() % k.config.V);
            const bool ignore = k.ignored && n % 3 == 1;
            target.push_back(ignore ? ignored_target : int(rng() % k.config.V));
            valid += !ignore;
            position.push_back(k.documents ? n % T / 3 : n % T);  // arbitrary: not the place in the parameter
            first.push_back(k.documents ? n % T / 4 * 4 : 0);
            first_sliding.push_back(std::max(first.back(), first_in_window(n % T, k.config.window)));
        }
    }
    Batch batch(const Case& k, int B, int T) const {
        return {.B = B,
                .T = T,
                .token = token.data(),
                .target = target.data(),
                .position = position.data(),
                .first = k.documents ? first.data() : nullptr,
                .first_sliding = first_sliding.data()};
    }
};

template <class T>
void prepare(Gpt<Cpu<T>>& model, int valid) {
    model.allocate();
    *model.noise = {.seed = 7, .step = 3, .row = 5};
    *model.d_loss = T(1.0 / valid);
}

class gpt : public testing::TestWithParam<Case> {};

TEST_P(gpt, backward_is_the_derivative_of_forward) {
    const Case& k = GetParam();
    const int B = 2, T = k.config.T;
    std::mt19937 rng(1);
    const Tokens tokens(k, B, T, rng);
    const Batch batch = tokens.batch(k, B, T);

    Gpt<Cpu<double>> model(k.config, B * T, k.recompute, {}, k.head_rows);
    Gpt<Cpu<Complex>> probe(k.config, B * T, Recompute::none, {}, k.head_rows);
    prepare(model, tokens.valid);
    prepare(probe, tokens.valid);
    std::normal_distribution<double> normal;
    for (const Parameter& parameter : model.weights.parameters)
        for (size_t i = 0; i < parameter.size(); i++)
            model.w[parameter.slot][i] = (parameter.init == Init::one ? 1 : 0) + 0.5 * normal(rng);
    model.forward(batch, k.dropout, Use::train);
    model.backward(batch, k.dropout);

    const double h = 1e-100;
    for (const Parameter& parameter : model.weights.parameters) {  // one random direction inside each weight tensor
        std::copy_n(model.w.data, model.weights.size, probe.w.data);
        double analytic = 0;
        for (size_t i = 0; i < parameter.size(); i++) {
            const double v = normal(rng);
            probe.w[parameter.slot][i] += Complex(0, h * v);
            analytic += model.dw[parameter.slot][i] * v;
        }
        probe.forward(batch, k.dropout);
        double exact = 0;
        for (int n = 0; n < B * T; n++) exact += probe.stat[probe.losses][n].imag() / h / tokens.valid;
        EXPECT_NEAR(analytic, exact, 1e-10 * std::abs(exact)) << k.name << " " << parameter.name;
        EXPECT_NE(exact, 0) << k.name << " " << parameter.name << " does not reach the loss";
    }
}

// Gradients add up: two backward passes leave twice the gradient of one. Those of a first micro-batch take the place of
// what was there.
TEST_P(gpt, gradients_accumulate) {
    const Case& k = GetParam();
    const int B = 2, T = k.config.T;
    std::mt19937 rng(2);
    const Tokens tokens(k, B, T, rng);
    Gpt<Cpu<double>> model(k.config, B * T, k.recompute, {}, k.head_rows);
    prepare(model, tokens.valid);
    std::normal_distribution<double> normal(0.0, 0.5);
    for (const Parameter& parameter : model.weights.parameters)
        std::generate_n(model.w[parameter.slot], parameter.size(), [&] { return normal(rng); });
    auto pass = [&](Into into) {
        model.forward(tokens.batch(k, B, T), k.dropout, Use::train, into);
        model.backward(tokens.batch(k, B, T), k.dropout, into);
    };
    pass(Into::add);
    const std::vector<double> once(model.dw.data, model.dw.data + model.weights.size);
    pass(Into::add);
    for (size_t i = 0; i < once.size(); i++)
        ASSERT_NEAR(model.dw.data[i], 2 * once[i], 1e-12 * (1 + std::abs(once[i])));
    for (const Parameter& parameter : model.weights.parameters)
        std::fill_n(model.dw[parameter.slot], parameter.size(), NAN);
    pass(Into::assign);
    for (size_t i = 0; i < once.size(); i++) ASSERT_EQ(model.dw.data[i], once[i]);
}

INSTANTIATE_TEST_SUITE_P(families, gpt, testing::ValuesIn(cases()), [](const auto& info) { return info.param.name; });
}  // namespace
