// The whole model on the kernels against the whole model on the references.      ./test_gpt --gtest_filter='gpt_gpu*'
#include "dev/test/kernels/harness.h"
#include "host/training/trainer.h"
#include "kernels/exchange.cuh"
#include "kernels/instances.cuh"

namespace {

Config gpt2() { return {.T = 16, .V = 70, .L = 2, .C = 32, .NH = 4, .NKV = 4, .HS = 8, .F = 72}; }
Config llama() {
    Config c = gpt2();
    c.norm = Norm::rmsnorm, c.position = Position::rope, c.activation = Activation::swiglu;
    c.qkv_bias = c.proj_bias = c.ffn_bias = c.norm_bias = false;
    c.tied = false, c.NKV = 2, c.HS = 16;
    return c;
}
template <class Change>
Config with(Config c, Change change) {
    change(c);
    return c;
}

enum class Extras { none, dropout_and_documents };
struct Family {
    const char* name;
    Config config;
    Extras extras;
    double
        bf16_error;  // the worst that PyTorch's own gradients in bf16 show at these sizes (dev/oracle/bf16_errors.py)
};

std::vector<Family> families() {
    const double gelu = 0.019, relu = 0.129, swiglu = 0.027, swiglu_64 = 0.021, sliding_64 = 0.024,
                 qk_norm = 0.050;  // relu: a value moves across its corner
    return {{"gpt2", gpt2(), Extras::none, gelu},
            {"gpt2_everything", gpt2(), Extras::dropout_and_documents, gelu},
            {"sinusoidal_relu",
             with(gpt2(), [](Config& c) { c.position = Position::sinusoidal, c.activation = Activation::relu; }),
             Extras::none, relu},
            {"ragged", with(gpt2(), [](Config& c) { c.C = 33, c.HS = 11, c.NH = c.NKV = 3, c.F = 71; }), Extras::none,
             gelu},
            {"scores_by_layer", with(gpt2(), [](Config& c) { c.scores_by_layer = true; }), Extras::none, gelu},
            {"llama", llama(), Extras::none, swiglu},
            {"cs336", with(llama(), [](Config& c) { c.rope_pairs = RopePairs::interleaved, c.NKV = 4; }), Extras::none,
             swiglu},
            {"tensor_heads", with(llama(), [](Config& c) { c.HS = 64; }), Extras::none,
             swiglu_64},  // attention on tensor cores
            {"qwen2", with(llama(), [](Config& c) { c.qkv_bias = true; }), Extras::none, swiglu},
            {"qwen3", with(llama(), [](Config& c) { c.qk_norm = true; }), Extras::dropout_and_documents, qk_norm},
            {"sliding", with(llama(), [](Config& c) { c.HS = 64, c.window = 5; }), Extras::none, sliding_64}};
}

constexpr int batch = 2;

// One model on one device with its tokens, the same numbers on every device.
template <class Device>
struct Model {
    using Real = typename Device::Real;
    using Stat = typename Device::Stat;
    Device on;
    Gpt<Device> gpt;
    HostBatch host;
    Batch b;
    float dropout;
    Buffer<Stat> m, v, master;
    Stat* norm;
    AdamwStep* step;
    AdamwSegment* segments;

    explicit Model(const Family& f) : gpt(f.config, batch * f.config.T, Recompute::none, on) {
        gpt.allocate();
        const int T = f.config.T, N = batch * T;
        const bool extras = f.extras == Extras::dropout_and_documents;
        dropout = extras ? 0.2f : 0;
        std::mt19937 random(5);
        std::vector<int> token(N), target(N), position(N), first(N), first_sliding(N);
        for (int n = 0, start = 0; n < N; n++) {
            token[n] = int(random() % f.config.V);
            target[n] = n % 7 == 3 ? ignored_target : int(random() % f.config.V);
            if (n % T == 0 || random() % 9 == 0) start = n % T;
            position[n] = extras ? n % T - start : n % T;
            first[n] = start;
            first_sliding[n] = std::max(extras ? start : 0, first_in_window(n % T, f.config.window));
        }
        host = {batch, T, token, target, position, extras ? first : std::vector<int>()};
        b = {batch, T, put(token), put(target), put(position), extras ? put(first) : nullptr};
        b.first_sliding = put(first_sliding);
        set(gpt.noise, Noise{42, 3, 1});
        set(gpt.d_loss, Stat(1) / Stat(N));

        // A master copy of every weight, rounded to storage where the kernels compute.
        const size_t n = gpt.weights.size;
        for (Buffer<Stat>* x : {&m, &v, &master}) x->data = on.template allocate<Stat>(n);
        norm = on.template allocate<Stat>(1);
        step = on.template allocate<AdamwStep>(1);
        std::vector<AdamwSegment> table;
        std::normal_distribution<float> normal(0, 0.15f);
        for (const Parameter& parameter : gpt.weights.parameters) {
            std::vector<Stat> values(parameter.size());
            std::vector<Real> rounded(parameter.size());
            for (size_t i = 0; i < values.size(); i++) {
                const float x = normal(random) + (parameter.init == Init::one ? 1.0f : 0.0f);
                values[i] = float(bf16(x)), rounded[i] = Real(float(bf16(x)));
            }
            on.upload(master[parameter.slot], values.data(), values.size());
            on.upload(gpt.w[parameter.slot], rounded.data(), rounded.size());
            table.push_back({parameter.slot.offset, parameter.size(), parameter.decays() ? 0.1f : 0.0f});
        }
        segments = put(table);
    }
    template <class U>
    U* put(const std::vector<U>& values) {
        U* p = on.template allocate<U>(values.size());
        on.upload(p, values.data(), values.size());
        return p;
    }
    template <class U>
    void set(U* p, U value) {
        on.upload(p, &value, 1);
    }
    template <class U>
    std::vector<U> get(const U* p, size_t n) {
        std::vector<U> values(n);
        on.download(values.data(), p, n);
        return values;
    }

    static AdamwStep step_of(int t) {
        return {3e-3f, 0.9f, 0.95f, 1e-8f, 1, float(1 - std::pow(0.9, t)), float(1 - std::pow(0.95, t))};
    }

    double forward_backward() {  // returns the mean loss
        const int N = batch * gpt.T;
        on.zero(gpt.dw.data, gpt.weights.size);
        gpt.forward(b, dropout, Use::train);
        gpt.backward(b, dropout);
        double sum = 0;
        for (const Stat x : get(gpt.stat[gpt.losses], N)) sum += double(x);
        return sum / N;
    }
    double train_step(int t) {
        const double loss = forward_backward();
        set(step, step_of(t));
        global_norm(norm, gpt.dw.data, gpt.weights.size, on);
        adamw_update(gpt.w.data, master.data, m.data, v.data, gpt.dw.data, norm, step, segments,
                     int(gpt.weights.parameters.size()), on);
        return loss;
    }
};

// Roundings on the way from a weight to the loss and back: some ten tensors a block each way, of sums over C floats.
template <class T>
double model_tolerance(const Family& f) {
    return std::is_same_v<T, bf16> ? f.bf16_error : tolerance<float>((20 * f.config.L + 10) * f.config.C);
}

// The length of the error of a gradient, relative to its own. Single numbers say less: where bf16 moves a value across
// ReLU's corner, the gradient of that value is another.
double relative_error(const std::vector<float>& got, const double* want) {
    double error = 0, length = 0;
    for (size_t i = 0; i < got.size(); i++) error += std::pow(double(got[i]) - want[i], 2), length += want[i] * want[i];
    return std::sqrt(error / length);
}

template <class T>
void check_gradients(const Family& f) {
    Model<Cpu<double>> cpu(f);
    Model<Gpu<T>> gpu(f);
    const double want = cpu.forward_backward(), got = gpu.forward_backward(), allowed = model_tolerance<T>(f);
    EXPECT_NEAR(got, want, allowed * want) << f.name << " " << dtype_name<T> << ": loss";
    for (size_t k = 0; k < cpu.gpt.weights.parameters.size(); k++) {
        const Parameter &c = cpu.gpt.weights.parameters[k], &g = gpu.gpt.weights.parameters[k];
        const auto gradient = gpu.get(gpu.gpt.dw[g.slot], g.size());
        EXPECT_LE(relative_error(gradient, cpu.gpt.dw[c.slot]), allowed)
            << f.name << " " << dtype_name<T> << ": gradient of " << c.name;
    }
}

TEST(gpt_gpu, gradients) {
    for (const Family& f : families()) {
        check_gradients<float>(f);
        check_gradients<bf16>(f);
    }
}

// Ten steps follow the CPU's losses; three of a second run, in another order of blocks and threads, have the same bits.
template <class T>
void check_training(const Family& f, double allowed) {
    Model<Cpu<float>> cpu(f);
    Model<Gpu<T>> gpu(f), again(f);
    for (int t = 1; t <= 10; t++) {
        const double want = cpu.train_step(t), got = gpu.train_step(t);
        EXPECT_NEAR(got, want, allowed * want) << f.name << " " << dtype_name<T> << ": step " << t;
        if (t > 3) continue;
        set_test_order(2);
        EXPECT_EQ(again.train_step(t), got) << f.name << " " << dtype_name<T> << ": second run, step " << t;
        set_test_order(0);
        const size_t n = gpu.gpt.weights.size;
        EXPECT_EQ(gpu.get(gpu.master.data, n), again.get(again.master.data, n)) << f.name << " " << dtype_name<T>;
    }
}

TEST(gpt_gpu, training) {
    for (const Family& f : families()) {
        check_training<float>(f, 1e-5);
        check_training<bf16>(f, 2e-2);
    }
}

// The trainer runs a step kernel by kernel, records it, then repeats the recording, one step ahead of what it has
// waited for: the same bits as kernel by kernel, waiting all the time.
template <class T>
void check_recorded_steps(const Family& f) {
    Model<Gpu<T>> direct(f);
    Trainer<Gpu<T>> trainer(f.config, batch, f.config.T, Recompute::none, 0.1f, Gpu<T>());
    using Part = typename Trainer<Gpu<T>>::Part;
    for (const Parameter& parameter : trainer.model.weights.parameters)
        trainer.set(Part::weights, parameter, direct.get(direct.master[parameter.slot], parameter.size()));
    const int N = batch * f.config.T, steps = 5;
    std::vector<double> want, got;
    const auto wait = [&] { got.push_back(trainer.wait().loss / N); };
    for (int t = 1; t <= steps; t++) {
        want.push_back(direct.train_step(t));
        trainer.submit(direct.host, N, Noise{42, 3, 1}, direct.dropout);
        trainer.submit(direct.step_of(t));
        if (t > 1) wait();
    }
    wait();
    EXPECT_EQ(got, want) << f.name << " " << dtype_name<T>;
    for (const Parameter& parameter : trainer.model.weights.parameters)
        EXPECT_EQ(trainer.get(Part::weights, parameter), direct.get(direct.master[parameter.slot], parameter.size()))
            << f.name << " " << parameter.name;
}

TEST(gpt_gpu, recorded_steps) {
    for (const Family& f : families()) {
        if (f.extras == Extras::none) continue;  // with dropout and documents
        check_recorded_steps<float>(f);
        check_recorded_steps<bf16>(f);
    }
}

}  // namespace
