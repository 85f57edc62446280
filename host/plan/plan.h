// What a training costs, before anything is allocated: parameters, floating-point operations and memory, computed
// from the very tables of weights and activations that the model will allocate.
#pragma once
#include "host/options/options.h"

// A matmul of (m,k) with (k,n) counts 2mnk operations; everything else counts none.
struct PlanPart {
    std::string name;
    uint64_t parameters = 0;   // of the whole model
    uint64_t layer_flops = 0;  // forward pass of one sequence of T tokens through one layer
    uint64_t flops = 0;        // the same through the model
};

struct Memory {  // bytes
    uint64_t weights = 0, gradients = 0, moments = 0, master = 0, muon = 0, activations = 0, statistics = 0;
    std::vector<std::pair<const char*, uint64_t>> rows() const {  // for tables
        std::vector<std::pair<const char*, uint64_t>> all{
            {"weights", weights},         {"gradients", gradients},     {muon ? "moments" : "Adam's moments", moments},
            {"fp32 master copy", master}, {"activations", activations}, {"statistics", statistics}};
        if (muon) all.insert(all.begin() + 4, {"Muon's scratch", muon});
        return all;
    }
    uint64_t state() const { return weights + gradients + moments + master + muon; }  // whatever the batch
    uint64_t total() const { return state() + activations + statistics; }
};

// Bytes that a rank sends to others in a step, whatever its micro-batches. Each rank sums a part of the gradients and
// steps that part of the weights (host/world/exchange.h); of itself it tells a norm, and its loss and signals.
struct Traffic {
    uint64_t gradients = 0, weights = 0, scalars = 0;
    uint64_t total() const { return gradients + weights + scalars; }
};

struct Plan {
    Config config;
    int batch = 1, ranks = 1;
    Dtype dtype = Dtype::fp32;
    Recompute recompute = Recompute::none;
    Optimizer optimizer = Optimizer::adamw;
    PlanPart token_embedding, positions, projections, attention, ffn, norms, head;
    uint64_t seen_flops = 0;  // of attention's, those of the scores that the masks leave, of one sequence
    uint64_t repeated = 0;    // forward operations that `recompute` does again in backward, of one sequence
    Memory memory;            // of each rank
    Traffic traffic;          // likewise
    uint64_t kv_cache = 0;    // of one sequence of T tokens
    uint64_t checkpoint = 0;  // weights and optimiser on disk
    uint64_t moments = 0;     // numbers that the optimiser keeps of the whole model
    uint64_t muon_flops = 0;  // of an optimiser step, whatever its tokens

    std::vector<PlanPart> shares() const {
        return {token_embedding, positions, projections, attention, ffn, norms, head};
    }
    uint64_t parameters() const;
    uint64_t copied_by_a_save() const { return sizeof(float) * (parameters() + moments); }  // at most
    uint64_t layer_flops() const;
    uint64_t forward_flops() const;                                             // of one sequence
    uint64_t training_flops() const { return 3 * forward_flops() + repeated; }  // backward has two matmuls for each one

    // What MFU counts of training on one sequence: no repetition, and of attention the scores that a causal mask leaves
    // (6N + 6LdT), or all of them, as PaLM's authors count (6N + 12LdT).
    uint64_t causal_flops() const { return 3 * (forward_flops() - attention.flops + seen_flops); }
    uint64_t palm_flops() const { return 3 * forward_flops(); }
};

// The config must have no problems() at this batch, a micro-batch of a rank.
Plan make_plan(const Config& config, int batch, Dtype dtype, Recompute recompute, int ranks = 1,
               Optimizer optimizer = Optimizer::adamw);

// Part of a GPU's memory that is left to the driver and the libraries.
constexpr double reserved_memory = 0.05;
inline bool fits(const Plan& plan, uint64_t bytes) {
    return double(plan.memory.total()) <= (1 - reserved_memory) * double(bytes);
}

// Changes to the command line that make it fit: a smaller batch, recomputation, a shorter context; as few as need be.
struct Remedy {
    std::string flags;
    Plan plan;
};
std::vector<Remedy> remedies(const Plan& plan, uint64_t bytes);
