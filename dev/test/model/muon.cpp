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

// A step of a whole trainer: AdamW's of all else, and of blocks' matrices none of AdamW's.
TEST(muon, a_trainer_steps_all_else_as_adamw_does) {
    using T = Trainer<Cpu<double>>;
    Config c = *find_preset("tiny");
    c.L = 2, c.C = 16, c.NH = c.NKV = 2, c.HS = 8, c.F = 24, c.T = 8, c.V = 11;
    const auto trained = [&](std::optional<MuonScale> muon) {
        auto trainer = std::make_unique<T>(c, 2, c.T, Recompute::none, 0.1f, Cpu<double>(), World(), muon);
        trainer->initialise(3);
        HostBatch b{2, c.T, drawn_integers("token", 16, c.V), drawn_integers("target", 16, c.V), {}, {}};
        for (int i = 0; i < 16; i++) b.position.push_back(i % c.T), b.first.push_back(0);
        trainer->accumulate(b, 16, {}, 0);
        trainer->step({0.01f, 0.9f, 0.95f, 1e-8f, 1, 0.1f, 0.05f}, {.lr = 0.02f, .momentum = 0.95f, .clip = 1});
        return trainer;
    };
    const auto adamw = trained({}), muon = trained(MuonScale::rms);
    for (const Parameter& p : adamw->model.weights.parameters) {
        EXPECT_EQ(muon->get(T::Part::weights, p) == adamw->get(T::Part::weights, p), p.matrices.empty()) << p.name;
        EXPECT_EQ(muon->has(T::Part::v, p), p.matrices.empty()) << p.name;
        if (p.matrices.empty()) { EXPECT_EQ(muon->get(T::Part::v, p), adamw->get(T::Part::v, p)) << p.name; }
    }
}

}  // namespace
