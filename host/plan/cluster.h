// GPUs of one or several machines, and how long their collectives take: NCCL's rings, which the program pins (kernels/
// run_on_gpu.cuh) and which are what NCCL has for reduce-scatter and all-gather between machines anyway.
#pragma once
#include <span>
#include "gpu_peaks.h"

struct Cluster {
    int ranks = 1, nodes = 1;  // a rank a GPU, as many on every node
    double link = 0;           // bytes a second that a node sends to others
    const Peaks* gpu = nullptr;

    // The slowest step of the ring: every byte goes to the next rank, at the end of a node over its link.
    double bus() const {
        const bool alone = ranks == nodes;
        return nodes == 1 ? gpu->inside : alone ? link : std::min(link, gpu->inside);
    }
};

// Of a reduce-scatter or an all-gather of a buffer of so many bytes, in parts of 1/ranks. Each part goes ranks - 1
// steps along the ring, and each link carries ranks - 1 parts, one after another: the longer of the two.
double exchange_seconds(const Cluster& cluster, double bytes);

// An operation of the stream beside the one that computes: `ready` for it, and its duration.
struct Exchange {
    double ready, seconds;
};
// When the last of them is done, in this order one after another. The one after which the stream never waits again
// decides: the largest of ready + the durations from there on.
double end_of_exchanges(std::span<const Exchange> all);
