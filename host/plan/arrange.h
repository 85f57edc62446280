// How a step's sequences are computed: the micro-batch, what is recomputed, and so how often gradients are added up.
#pragma once
#include <functional>
#include <optional>
#include "plan.h"

struct Arrange {
    Config config;
    Dtype dtype = Dtype::fp32;
    int ranks = 1, sequences = 1;   // of a step, which the ranks divide
    uint64_t bytes = 0;             // of memory, a rank
    std::optional<int> batch = {};  // if it is fixed
    std::optional<Recompute> recompute = {};
    Optimizer optimizer = Optimizer::adamw;
};

// Of all micro-batches that divide a rank's share and fit, with each way to recompute, the one that costs least; of
// equal ones the one that recomputes less, then the largest micro-batch. None: not even the smallest fits.
std::optional<Plan> cheapest(const Arrange& wanted, const std::function<double(const Plan&)>& cost);
Plan smallest(const Arrange& wanted);  // what needs the least memory
