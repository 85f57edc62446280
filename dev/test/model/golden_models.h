// Whole models against transformers and PyTorch (dev/oracle/models.py), on any device: logits, losses and gradients of
// one batch, then ten AdamW steps with clipping, warm-up and cosine decay, in two micro-batches each.
#pragma once
#include <gtest/gtest.h>

#include "dev/test/support/golden.h"
#include "host/checkpoint/model_files.h"
#include "host/training/schedule.h"
#include "host/training/trainer.h"

namespace golden {

// The directory's name, and what its config.json does not say.
struct Model {
    const char* name;
    enum class Documents { one, several } documents = Documents::one;
    void (*change)(Config&) = [](Config&) {};
};

inline std::vector<Model> models() {
    const auto no_bias = [](Config& c) { c.qkv_bias = c.proj_bias = c.ffn_bias = c.norm_bias = false; };
    const auto sinusoidal = [](Config& c) { c.position = Position::sinusoidal; };
    const auto interleaved = [](Config& c) { c.rope_pairs = RopePairs::interleaved; };
    constexpr auto several = Model::Documents::several, one = Model::Documents::one;
    return {{"gpt2"},
            {"gpt2-odd", several},
            {"gpt2-no-bias", several, no_bias},
            {"gpt2-sinusoidal", one, sinusoidal},
            {"gpt2-by-layer"},
            {"llama-2"},
            {"llama-3.1"},
            {"llama-3.1", one, interleaved},
            {"llama-3.2"},
            {"llama-bias-odd"},
            {"qwen2", several},
            {"qwen2-untied"},
            {"qwen3"},
            {"qwen3-odd", several},
            {"mistral"},
            {"qwen2-sliding"},
            {"qwen3-sliding", several},
            {"cs336"}};
}

constexpr double exact = 1e-5;  // relative: how near we are to PyTorch's float
constexpr int sequences = 2, steps = 10;

// Sequences from .. from + count of the model's batch.
inline HostBatch batch_of(const Model& m, const Config& c, int from, int count) {
    const auto draw = [&](const char* what, int limit) {
        const auto all = drawn_integers(std::string(m.name) + "/" + what, size_t(from + count) * c.T, limit);
        return std::vector<int>(all.begin() + from * c.T, all.end());
    };
    const auto ignored = draw("ignored", 5), starts = draw("starts", 5);
    HostBatch b{count, c.T, draw("token", c.V), draw("target", c.V), {}, {}};
    for (int i = 0; i < count * c.T; i++) {
        if (ignored[i] == 0) b.target[i] = ignored_target;
        const bool start = m.documents == Model::Documents::several && starts[i] == 0;
        b.first.push_back(i % c.T == 0 ? 0 : start ? i % c.T : b.first.back());
        b.position.push_back(i % c.T - b.first.back());
    }
    return b;
}

inline std::vector<float> answer(const safetensors::Reader& answers, const std::string& name) {
    const safetensors::Tensor* t = answers.find(name);
    if (!t) throw Error(Exit::internal, answers.path(), "no " + name, "run dev/oracle/models.py again");
    std::vector<float> values(t->elements());
    answers.read(values, *t);
    return values;
}

using Rows = std::map<std::string, std::vector<float>>;

inline Rows rows_in(const std::string& directory, const Config& c, const Layout& layout) {
    Rows rows;
    load_weights(directory, c, layout, [&](const Parameter& parameter, std::span<const float> values) {
        rows[parameter.name].assign(values.begin(), values.end());
    });
    return rows;
}

// ||got - want|| / ||want|| of what `counts`.
inline void expect_near(
    const std::vector<float>& got, const std::vector<float>& want, const std::string& name,
    const std::function<bool(size_t)>& counts = [](size_t) { return true; }) {
    double error = 0, size = 0, worst = -1;
    size_t at = 0;
    ASSERT_EQ(got.size(), want.size()) << name;
    for (size_t i = 0; i < got.size(); i++) {
        if (!counts(i)) continue;
        const double difference = double(got[i]) - double(want[i]);
        error += difference * difference, size += double(want[i]) * double(want[i]);
        if (std::abs(difference) > worst) worst = std::abs(difference), at = i;
    }
    EXPECT_LE(std::sqrt(error), exact * std::sqrt(size))
        << name << ": element " << at << " of " << got.size() << " is " << got[at] << ", want " << want[at];
}

template <class Device>
void compare_with_golden(const Model& m, const Device& device, int steps_to_check = steps) {
    using T = Trainer<Device>;
    const std::string directory = std::string("dev/oracle/models/") + m.name;
    SCOPED_TRACE(directory);
    Config c = read_model_description(directory).config;
    m.change(c);
    const safetensors::Reader answers(directory + "/answers.safetensors");
    T trainer(c, sequences, c.T, Recompute::none, 0.1f, device);
    auto& model = trainer.model;
    const Layout& layout = model.weights;
    load_weights(directory, c, layout, [&](const Parameter& parameter, std::span<const float> values) {
        trainer.set(T::Part::weights, parameter, values);
    });

    const HostBatch batch = batch_of(m, c, 0, sequences);
    const int N = sequences * c.T;
    const double valid = double(batch.valid());
    trainer.accumulate(batch, batch.valid(), {}, 0);
    std::vector<typename T::Stat> losses(N);
    model.on.download(losses.data(), model.stat[model.losses], losses.size());
    const auto expect_values = [&](const char* name, const auto& got) {
        const std::vector<float> want = answer(answers, name);
        ASSERT_EQ(got.size(), want.size()) << name;
        EXPECT_EQ(mismatch(got.data(), want.data(), want.size(), exact), "") << name;
    };
    expect_values("losses", losses);
    const Rows gradients = rows_in(directory + "/gradients", c, layout);
    for (const Parameter& parameter : layout.parameters) {
        std::vector<typename T::Stat> got(parameter.size());
        model.on.download(got.data(), model.dw[parameter.slot], parameter.size());
        expect_near({got.begin(), got.end()}, gradients.at(parameter.name), "gradient of " + parameter.name);
    }
    model.on.zero(model.dw.data, layout.size);
    trainer.loss(batch);  // backward has overwritten the logits
    std::vector<typename T::Real> padded(size_t(N) * model.P), logits;
    model.on.download(padded.data(), model.x[model.logits], padded.size());
    for (int n = 0; n < N; n++)
        logits.insert(logits.end(), &padded[size_t(n) * model.P], &padded[size_t(n) * model.P] + c.V);
    expect_values("logits", logits);

    const auto rates = answer(answers, "learning_rate"), means = answer(answers, "loss"),
               norms = answer(answers, "norm");
    const float clip = answer(answers, "clip")[0];
    const LearningRate rate{.peak = 1e-3, .minimum = 1e-4, .warmup = 3, .steps = steps};
    for (int step = 0; step < steps_to_check; step++) {
        double loss = 0;
        for (const int b : {0, 1}) loss += trainer.accumulate(batch_of(m, c, b, 1), batch.valid(), {}, 0);
        const auto correction = [=](float beta) { return float(1 - std::pow(double(beta), step + 1)); };
        const float now = float(rate.at(step));
        const double norm = trainer.step({now, 0.9f, 0.95f, 1e-8f, clip, correction(0.9f), correction(0.95f)});
        EXPECT_FLOAT_EQ(now, rates[step]);
        EXPECT_NEAR(loss / valid / means[step], 1, exact) << "loss of step " << step;
        EXPECT_NEAR(norm / norms[step], 1, exact) << "gradient norm of step " << step;
    }
    if (steps_to_check < steps) return;
    EXPECT_NEAR(trainer.loss(batch) / valid / means[steps], 1, exact) << "last loss";
    const Rows trained = rows_in(directory + "/trained", c, layout);
    for (const Parameter& parameter : layout.parameters) {
        // Softmax ignores what all keys share: without RoPE the gradient of the keys' biases is nothing but rounding,
        // which AdamW makes steps of.
        const bool still = parameter.name.ends_with("qkv.bias") && c.position != Position::rope;
        const size_t keys = size_t(c.NH) * c.HS, values = keys + size_t(c.NKV) * c.HS;
        expect_near(trainer.get(T::Part::weights, parameter), trained.at(parameter.name), "trained " + parameter.name,
                    [&](size_t i) { return !still || i < keys || i >= values; });
    }
}

}  // namespace golden
