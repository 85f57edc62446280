#include "plan.h"

#include <fmt/core.h>

#include <algorithm>
#include <unordered_map>

#include "host/base/error.h"
#include "host/model/muon_matrices.h"
#include "host/model/tables.h"
#include "host/training/wishes.h"
#include "host/world/shards.h"

namespace {

uint64_t product(uint64_t m, uint64_t n, uint64_t k) { return 2 * m * n * k; }

// The shares of parameters: every parameter of the table of weights belongs to exactly one.
void count_parameters(Plan& plan, const GptTables& m) {
    std::unordered_map<size_t, uint64_t> size_at;
    for (const Parameter& parameter : m.weights.parameters) size_at[parameter.slot.offset] = parameter.size();
    auto add = [&](PlanPart& share, std::initializer_list<Slot> slots) {
        for (const Slot s : slots)
            if (s) share.parameters += size_at.at(s.offset);
    };
    add(plan.token_embedding, {m.wte});
    add(plan.positions, {m.wpe});
    for (const BlockWeights& p : m.wb) {
        add(plan.projections, {p.qkv.weight, p.qkv.bias, p.proj.weight, p.proj.bias});
        add(plan.ffn, {p.up.weight, p.up.bias, p.down.weight, p.down.bias});
        add(plan.norms, {p.norm1.weight, p.norm1.bias, p.q_norm, p.k_norm, p.norm2.weight, p.norm2.bias});
    }
    add(plan.norms, {m.norm_f.weight, m.norm_f.bias});
    if (m.head.offset != m.wte.offset) add(plan.head, {m.head});
    uint64_t all = 0;
    for (const Parameter& parameter : m.weights.parameters) all += parameter.size();
    REQUIRE(plan.parameters() == all);
}

void count_flops(Plan& plan, const GptTables& m) {
    const uint64_t T = m.T, layers = m.wb.size();
    auto linear = [&](const LinearWeights& p) { return product(T, p.OC, p.C); };
    const BlockWeights& p = m.wb.at(0);
    plan.projections.layer_flops = linear(p.qkv) + linear(p.proj);
    const auto attention = [&](uint64_t pairs) {
        return m.NH * 2 * product(pairs, 1, m.HS);
    };  // scores, and mean values
    plan.attention.layer_flops = attention(T * T);
    plan.ffn.layer_flops = linear(p.up) + linear(p.down);
    for (PlanPart* s : {&plan.projections, &plan.attention, &plan.ffn}) s->flops = layers * s->layer_flops;
    for (int l = 0; l < m.c.L; l++) {  // what lies outside a window is left out, half of what lies inside is to come
        const uint64_t W = m.c.slides(l) ? std::min(T, uint64_t(m.c.window)) : T;
        plan.attention.flops -= attention(T * (T - W));
        plan.seen_flops += attention(W * (2 * T - W)) / 2;
    }
    plan.head.flops = product(T, m.V, m.C);
    const uint64_t again = plan.recompute == Recompute::none  ? 0
                           : plan.recompute == Recompute::mlp ? linear(p.up)
                                                              : plan.layer_flops();
    plan.repeated = (layers - 1) * again;  // the last layer's are still there
}

// Newton-Schulz of every matrix: two products of it with one of (k,k), and that one's square.
void count_muon(Plan& plan, const Layout& weights, uint64_t stored, uint64_t full) {
    const std::vector<MuonMatrix> matrices = muon_matrices(weights);
    for (const MuonMatrix& a : matrices) {
        const uint64_t k = a.least(), longer = std::max(a.rows, a.columns);
        plan.moments -= a.size(), plan.memory.moments -= a.size() * full;  // they have no second one
        plan.muon_flops += muon_iterations * (2 * product(k, k, longer) + product(k, k, k));
    }
    const MuonScratch scratch(matrices);
    const uint64_t sums = stored == full ? 0 : scratch.square * full;
    plan.memory.muon = 2 * (scratch.matrix + scratch.square) * stored + sums;
}

}  // namespace

uint64_t Plan::parameters() const {
    uint64_t sum = 0;
    for (const PlanPart& s : shares()) sum += s.parameters;
    return sum;
}
uint64_t Plan::layer_flops() const {
    uint64_t sum = 0;
    for (const PlanPart& s : shares()) sum += s.layer_flops;
    return sum;
}
uint64_t Plan::forward_flops() const {
    uint64_t sum = 0;
    for (const PlanPart& s : shares()) sum += s.flops;
    return sum;
}

Plan make_plan(const Config& c, int batch, Dtype dtype, Recompute recompute, int ranks, Optimizer optimizer) {
    const uint64_t stored = dtype == Dtype::bf16 ? 2 : 4, full = 4;  // bytes of Real and of Stat
    const GptTables m(c, batch * c.T, recompute, {1, stored});
    Plan plan;
    plan.config = c, plan.batch = batch, plan.ranks = ranks, plan.dtype = dtype, plan.recompute = recompute;
    plan.optimizer = optimizer;
    plan.token_embedding.name = "token embedding", plan.positions.name = "positions";
    plan.projections.name = "attention projections", plan.attention.name = "attention matmuls";
    plan.ffn.name = "feed-forward", plan.norms.name = "norms", plan.head.name = c.tied ? "head (tied)" : "head";
    count_parameters(plan, m);
    count_flops(plan, m);

    const uint64_t extra = dtype == Dtype::bf16 ? full : 0;  // fp32 weights are their own master copy
    const uint64_t size = Shards::padded(m.weights.size, ranks), mine = size / uint64_t(ranks);
    plan.memory = {.weights = size * stored,
                   .gradients = size * full,
                   .moments = 2 * mine * full,
                   .master = mine * extra,
                   .activations = m.acts.size * stored,
                   .statistics = m.stats.size * full};
    const uint64_t others = uint64_t(ranks) - 1;
    plan.traffic = {.gradients = others * mine * full,
                    .weights = others * mine * stored,
                    .scalars = others * (full + sizeof(Wishes::Told))};
    plan.kv_cache = 2 * uint64_t(c.L) * c.NKV * c.HS * c.T * stored;
    plan.moments = 2 * plan.parameters();
    if (optimizer == Optimizer::muon) count_muon(plan, m.weights, stored, full);
    plan.checkpoint = plan.parameters() * (stored + extra) + plan.moments * full;
    return plan;
}

std::vector<Remedy> remedies(const Plan& plan, uint64_t bytes) {
    std::vector<Remedy> found;
    auto planned = [&](int batch, int T, Recompute recompute) {
        Config c = plan.config;
        c.T = T;
        return make_plan(c, batch, plan.dtype, recompute, plan.ranks, plan.optimizer);
    };
    // The largest n in 1..most for which make(n) fits, or 0.
    auto largest = [&](int most, auto make) {
        int low = 0, high = most;
        while (low < high) {
            const int middle = low + (high - low + 1) / 2;
            if (fits(make(middle), bytes)) low = middle;
            else high = middle - 1;
        }
        return low;
    };
    auto smaller_batch = [&](Recompute recompute) {
        const int batch = largest(plan.batch, [&](int n) { return planned(n, plan.config.T, recompute); });
        if (!batch) return;
        std::string flags = recompute == plan.recompute ? "" : fmt::format("--recompute {}", name_of(recompute));
        if (batch < plan.batch) flags += fmt::format("{}--batch {}", flags.empty() ? "" : " ", batch);
        found.push_back({flags, planned(batch, plan.config.T, recompute)});
    };
    auto shorter_context = [&](int batch) {
        const int unit = plan.config.T > 64 ? 64 : 1;
        const int T =
            unit * largest(plan.config.T / unit, [&](int n) { return planned(batch, unit * n, plan.recompute); });
        if (!T) return false;
        found.push_back({fmt::format("--context {}{}", T, batch < plan.batch ? fmt::format(" --batch {}", batch) : ""),
                         planned(batch, T, plan.recompute)});
        return true;
    };
    smaller_batch(plan.recompute);
    if (plan.recompute == Recompute::none && fits(planned(plan.batch, plan.config.T, Recompute::mlp), bytes))
        smaller_batch(Recompute::mlp);
    else if (plan.recompute != Recompute::block) smaller_batch(Recompute::block);
    if (!shorter_context(plan.batch) && plan.batch > 1) shorter_context(1);
    return found;
}
