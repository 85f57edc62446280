// What a training costs, before anything is allocated: parameters, floating-point operations and memory, computed
// from the very tables of weights and activations that the model will allocate.
#pragma once
#include "options.h"

// A share of the model. A product of (m,k) with (k,n) counts 2mnk operations; what is not a product counts none.
struct Part {
    std::string name;
    uint64_t parameters = 0;
    uint64_t flops = 0;        // forward pass of one sequence of T tokens
};

struct Memory {                // bytes
    uint64_t weights = 0, gradients = 0, moments = 0, master = 0, activations = 0, statistics = 0;
    uint64_t total() const { return weights + gradients + moments + master + activations + statistics; }
};

struct Plan {
    Config config;
    int batch;
    Dtype dtype;
    Recompute recompute;
    std::vector<Part> parts;   // token embedding, positions, attention projections, attention products, feed-forward, norms, head
    uint64_t layer_flops = 0;  // of one layer, of one sequence
    uint64_t again = 0;        // forward operations that --recompute repeats, of one sequence
    Memory memory;
    uint64_t kv_cache = 0;     // bytes, of one sequence of T tokens
    uint64_t checkpoint = 0;   // bytes on disk

    uint64_t parameters() const;
    uint64_t forward_flops() const;                                              // of one sequence
    uint64_t training_flops() const { return 3 * forward_flops() + again; }      // backward does every product twice
};

// The config must have no problems().
Plan make_plan(const Config& config, int batch, Dtype dtype, Recompute recompute);

// Ways to train within `bytes`: the largest batch, recomputation, a shorter context; empty entries did not help.
struct Remedies { std::optional<int> batch, context; std::optional<Recompute> recompute; };
Remedies remedies(const Plan& plan, uint64_t bytes);

std::string plan_text(const std::string& name, const Plan& plan);
std::string family_text(const std::string& name, const Plan& plan);  // the sizes of the preset's family side by side

// `train_gpt plan`: prints the plan of a model, and with --gpu-memory whether it fits. Throws Error{device} if not.
void run_plan(const Options& options, const Config& config);
