// Muon on the CPU against PyTorch's, and what it does to singular values.
#include "host/model/tables.h"
#include "host/training/trainer.h"
#include "muon_golden.h"

namespace {

TEST(muon, golden) {
    muon_golden::compare(Cpu<double>(), 1e-6);  // of floats: lr, momentum, ...
    muon_golden::compare(Cpu<float>(), 1e-5);
}

// Every matrix of a block, in parts that are its heads' or its gate's, and nothing else.
TEST(muon, steps_the_matrices_of_blocks) {
    for (const Preset& preset : presets()) {
        Config c = preset.config;
        c.L = 2, c.V = 16;
        const GptTables tables(c, 1, Recompute::none, {1, 4});
        size_t elements = 0;
        for (const Parameter& p : tables.weights.parameters) {
            const bool inside = p.name.starts_with("h.") && p.shape.size() == 2;
            EXPECT_EQ(!p.matrices.empty(), inside) << preset.name << " " << p.name;
            EXPECT_EQ(std::accumulate(p.matrices.begin(), p.matrices.end(), 0), inside ? p.shape[0] : 0) << p.name;
            if (inside) elements += p.size();
        }
        const std::vector<MuonMatrix> all = muon_matrices(tables.weights);
        ASSERT_EQ(all.size(), c.activation == Activation::swiglu ? 14u : 12u) << preset.name;
        EXPECT_EQ(all[0].begin, tables.wb[0].qkv.weight.offset);
        EXPECT_EQ(all[1].begin, all[0].begin + size_t(c.NH) * c.HS * c.C);
        EXPECT_EQ(all[2].begin, all[1].begin + size_t(c.NKV) * c.HS * c.C);
        for (const MuonMatrix& a : all) elements -= a.size();
        EXPECT_EQ(elements, 0u) << preset.name;
    }
}

// A step of a whole trainer: Muon's of blocks' matrices, and of all else AdamW's.
TEST(muon, a_trainer_steps_all_else_as_adamw_does) {
    using T = Trainer<Cpu<double>>;
    Config c = *find_preset("tiny");
    c.L = 2, c.C = 16, c.NH = c.NKV = 2, c.HS = 8, c.F = 24, c.T = 8, c.V = 11;
    const auto with_gradients = [&](std::optional<MuonScale> muon) {
        auto trainer = std::make_unique<T>(c, 2, c.T, Recompute::none, 0.1f, Cpu<double>(), World(), muon);
        trainer->initialise(3);
        HostBatch b{2, c.T, drawn_integers("token", 16, c.V), drawn_integers("target", 16, c.V), {}, {}};
        for (int i = 0; i < 16; i++) b.position.push_back(i % c.T), b.first.push_back(0);
        trainer->accumulate(b, 16, {}, 0);
        return trainer;
    };
    const auto adamw = with_gradients({}), muon = with_gradients(MuonScale::rms);
    const Gpt<Cpu<double>>& model = muon->model;
    const size_t n = model.weights.size;
    std::vector<double> w(model.w.data, model.w.data + n), dw(model.dw.data, model.dw.data + n), m(n), norm(1);
    const MuonStep how{.lr = 0.02f, .momentum = 0.95f, .clip = 1};
    global_norm(norm.data(), dw.data(), n, Cpu<double>());
    Muon<Cpu<double>>(model.weights, MuonScale::rms, 0.1f, {})
        .step(w.data(), w.data(), m.data(), dw.data(), norm.data(), &how);
    for (T* trainer : {adamw.get(), muon.get()}) trainer->step({0.01f, 0.9f, 0.95f, 1e-8f, 1, 0.1f, 0.05f}, how);
    for (const Parameter& p : model.weights.parameters) {
        const bool by_adamw = p.matrices.empty();
        const auto alone = w.begin() + std::ptrdiff_t(p.slot.offset);
        const std::vector<float> want =
            by_adamw ? adamw->get(T::Part::weights, p) : std::vector<float>(alone, alone + std::ptrdiff_t(p.size()));
        EXPECT_EQ(muon->get(T::Part::weights, p), want) << p.name;
        EXPECT_EQ(muon->has(T::Part::v, p), by_adamw) << p.name;
        if (by_adamw) { EXPECT_EQ(muon->get(T::Part::v, p), adamw->get(T::Part::v, p)) << p.name; }
    }
}

}  // namespace
