// What a training takes on GPUs that are not here: the time of a step, from the rates of this program's kernels
// (kernel_rates.h) and of the links between GPUs (cluster.h), and what the whole training takes then.
#pragma once
#include <optional>
#include <vector>
#include "arrange.h"
#include "cluster.h"

// Seconds of a step, each in one row only: kernels by what bounds them, and of the exchange between ranks what the
// kernels do not hide.
struct StepSeconds {
    double matmuls = 0, attention = 0, memory = 0, launches = 0, optimizer = 0, gradients = 0, weights = 0;
    double kernels() const { return matmuls + attention + memory + launches; }
    double link() const { return gradients + weights; }
    double total() const { return kernels() + optimizer + link(); }
    StepSeconds operator*(double x) const {
        return {matmuls * x, attention * x, memory * x, launches * x, optimizer * x, gradients * x, weights * x};
    }
};

struct Forecast {
    Plan plan;  // of a rank
    Cluster cluster;
    int accumulation = 1;  // micro-batches of a rank and step
    StepSeconds seconds;
    double hidden = 0;  // of the exchange of gradients, behind the backward pass

    double step() const { return seconds.total(); }
    double sequences() const { return double(plan.batch) * accumulation * cluster.ranks; }
    double tokens_per_second() const { return sequences() * plan.config.T / step(); }
    double mfu() const {  // of causal operations
        return double(plan.causal_flops()) * sequences() / step() / (cluster.gpu->products * cluster.ranks);
    }
    double hours(double tokens) const { return tokens / tokens_per_second() / 3600; }
    const char* limit() const;  // what takes most of a step: compute, memory, link or launches
};

// `slower`: how much slower this GPU's kernels are than the rates say.
Forecast forecast(const Plan& plan, const Cluster& cluster, int accumulation, double slower = 1);

// The buckets of gradients in the order of their exchange; seconds count from the beginning of the last backward pass.
struct BackwardSchedule {
    std::vector<Exchange> buckets;
    double backward;  // its duration
    double bytes;     // that a rank sends
};
BackwardSchedule backward_schedule(const Plan& plan, const Cluster& cluster, double slower = 1);

// A training of which only the number of GPUs is open.
struct Training {
    Config config;
    const Peaks* gpu = nullptr;
    int sequences = 1;      // of a step
    double link = 0;        // bytes a second and node
    int per_node = 1;       // GPUs
    uint64_t capacity = 0;  // bytes of a GPU
    std::optional<int> batch = {};
    std::optional<Recompute> recompute = {};
    std::optional<double> measured = {};  // tokens a second that one GPU reached
};
// On so many ranks, as it costs least. None: it does not fit. The ranks divide the sequences and fill their nodes.
std::optional<Forecast> forecast(const Training& training, int ranks);
Arrange arrangement(const Training& training, int ranks);  // what is asked for there
// 1, 2, 4, ... and `ranks`, as far as they divide the sequences and fill nodes.
std::vector<int> possible_ranks(const Training& training, int ranks);
