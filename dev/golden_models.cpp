// Whole models against PyTorch (dev/oracle/models.py): losses and gradients of one batch, then ten AdamW steps with
// clipping, warm-up and cosine decay, in two micro-batches each.
#include <gtest/gtest.h>
#include "golden.h"
#include "host/schedule.h"
#include "host/trainer.h"

namespace {

// As in models.py: what is not named is the default of both.
struct Family {
    const char* name;
    Config config;
    bool documents = false;
};

Config small() {
    Config c;
    c.T = 12, c.V = 29, c.L = 2, c.C = 24, c.NH = 3, c.NKV = 3, c.HS = 8, c.F = 40;
    return c;
}
Config modern(int NH, int NKV, int HS) {
    Config c = small();
    c.NH = NH, c.NKV = NKV, c.HS = HS;
    c.norm = Norm::rmsnorm, c.position = Position::rope, c.activation = Activation::swiglu;
    c.qkv_bias = c.proj_bias = c.ffn_bias = c.norm_bias = false;
    c.norm_eps = 1e-6f;
    return c;
}

std::vector<Family> families() {
    Config nanogpt = small(), sinusoidal = small(), cs336 = modern(3, 3, 8), llama = modern(4, 2, 16);
    Config qwen2 = modern(6, 2, 4), qwen3 = modern(4, 1, 10);
    nanogpt.qkv_bias = nanogpt.proj_bias = nanogpt.ffn_bias = nanogpt.norm_bias = false;
    cs336.rope_pairs = RopePairs::interleaved, cs336.tied = false;
    llama.T = 20, llama.rope_theta = 500000, llama.rope_scaling = {8, 1, 4, 64}, llama.tied = false;
    qwen2.qkv_bias = true, qwen2.rope_theta = 1e6;
    qwen3.qk_norm = true;
    sinusoidal.position = Position::sinusoidal, sinusoidal.activation = Activation::relu;
    return {{"gpt2", small()}, {"nanogpt", nanogpt, true}, {"cs336", cs336}, {"llama", llama}, {"qwen2", qwen2},
            {"qwen3", qwen3, true}, {"sinusoidal", sinusoidal}};
}

// Sequences from .. from + count of the family's batch.
HostBatch sequences(const Family& f, int from, int count) {
    const int T = f.config.T, V = f.config.V;
    const auto draw = [&](const char* what, int limit) {
        const auto all = drawn_integers(std::string(f.name) + "/" + what, size_t(from + count) * T, limit);
        return std::vector<int>(all.begin() + from * T, all.end());
    };
    const auto ignored = draw("ignored", 5), starts = draw("starts", 5);
    HostBatch b{count, T, draw("token", V), draw("target", V), {}, {}};
    for (int i = 0; i < count * T; i++) {
        if (ignored[i] == 0) b.target[i] = ignored_target;
        b.first.push_back(i % T == 0 ? 0 : f.documents && starts[i] == 0 ? i % T : b.first.back());
        b.position.push_back(i % T - b.first.back());
    }
    return b;
}

// A tensor's length, and its product with a drawn direction: two numbers that a wrong tensor cannot keep.
// Softmax ignores what all keys share, so without RoPE only rounding errors move the keys' biases: they are left out.
template <class T>
std::vector<T> signature(const Config& c, const Row& row, const T* values) {
    const auto direction = drawn<double>("direction/" + row.name, row.size());
    const bool still = row.name.ends_with("qkv.bias") && c.position != Position::rope;
    const size_t first = c.NH * c.HS, keys = still ? c.NKV * c.HS : 0;
    double squares = 0, product = 0;
    for (size_t i = 0; i < row.size(); i++) {
        if (i >= first && i < first + keys) continue;
        squares += double(values[i]) * double(values[i]);
        product += direction[i] * double(values[i]);
    }
    return {T(std::sqrt(squares)), T(product)};
}

// About how many roundings a loss or a gradient has behind it: every matrix product's terms, over the depth, twice.
double terms(const Config& c) { return 2.0 * c.L * (2 * c.C + c.NH * c.HS + 2 * c.F + 2 * c.T + c.HS) + c.C + c.V; }

template <class T>
void compare_with_golden(const Family& family, const GoldenFile& file) {
    SCOPED_TRACE(std::string(family.name) + (sizeof(T) == sizeof(double) ? " in double" : " in float"));
    GoldenCheck check(file, std::string(family.name) + "/");
    Trainer<Cpu<T>> trainer(family.config, 2, family.config.T, Recompute::none, 0.1f, Cpu<T>());
    auto& model = trainer.model;
    for (const Row& row : model.weights.rows) {
        const double scale = row.decays() ? 0.25 : 0.125, shift = row.init == Init::one;
        trainer.set(Trainer<Cpu<T>>::Part::weights, row, drawn<float>(check.prefix + row.name, row.size(), scale,
                                                                      shift));
    }
    const HostBatch batch = sequences(family, 0, 2);
    const double once = tolerance<T>(terms(family.config)), valid = double(batch.valid());
    trainer.accumulate(batch, batch.valid(), {}, 0);
    const T* each = model.stat[model.losses];
    check.expect("losses", std::vector<T>(each, each + batch.token.size()), once);
    for (const Row& row : model.weights.rows)
        check.expect("gradient/" + row.name, signature(model.c, row, model.dw[row.slot]), once);
    model.on.zero(model.dw.data, model.weights.size);

    const double later = 10 * once;   // an update magnifies the rounding errors of small gradients
    const auto rates = check.want("learning_rate"), losses = check.want("loss"), norms = check.want("norm");
    const LearningRate rate{.peak = 1e-2, .minimum = 1e-3, .warmup = 3, .steps = 10};
    for (int step = 0; step < 10; step++) {
        double loss = 0;
        for (const int b : {0, 1}) loss += trainer.accumulate(sequences(family, b, 1), batch.valid(), {}, 0);
        const auto correction = [=](float beta) { return float(1 - std::pow(double(beta), step + 1)); };
        const float now = float(rate.at(step));
        const double norm = trainer.step({now, 0.9f, 0.95f, 1e-8f, 1.5f, correction(0.9f), correction(0.95f)});
        EXPECT_FLOAT_EQ(now, float(rates[step]));
        EXPECT_NEAR(loss / valid / losses[step], 1, step ? later : once) << "loss of step " << step;
        EXPECT_NEAR(norm / norms[step], 1, 4 * (step ? later : once)) << "gradient norm of step " << step;
    }
    check.expect("last_loss", std::vector<double>{trainer.loss(batch) / valid}, later);
    for (const Row& row : model.weights.rows)
        check.expect("weight/" + row.name, signature(model.c, row, model.w[row.slot]), later);
}

}  // namespace

TEST(golden_models, losses_gradients_and_ten_steps) {
    const GoldenFile file("dev/oracle/models.safetensors");
    for (const Family& family : families()) {
        compare_with_golden<double>(family, file);
        compare_with_golden<float>(family, file);
    }
}
