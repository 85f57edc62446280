// Loss of a model on data it does not train on.
#pragma once
#include "host/data/dataset.h"
#include "trainer.h"

// Mean loss of the valid targets of `sequences` windows, spread evenly over the data; 0: of all windows, each once.
// Which windows they are does not depend on B, how many are computed at a time, nor on the number of ranks, which share
// them: runs of different --batch can be compared.
template <class Device>
double validation_loss(Trainer<Device>& trainer, const Dataset& data, int B, int sequences) {
    const uint64_t windows = data.windows();
    const uint64_t count = sequences > 0 ? std::min<uint64_t>(sequences, windows) : windows;
    HostBatch batch;
    double sum = 0;
    size_t valid = 0;
    std::vector<uint64_t> samples;
    const uint64_t ranks = uint64_t(trainer.world.size()), rank = uint64_t(trainer.world.rank());
    const uint64_t end = count * (rank + 1) / ranks;
    for (uint64_t i = count * rank / ranks; i < end; i += samples.size()) {
        samples.clear();
        for (uint64_t k = i; k < std::min(i + B, end); k++) samples.push_back(k * windows / count);
        data.fill(batch, std::span<const uint64_t>(samples.data(), samples.size()));  // nvcc converts no vector
        sum += trainer.loss(batch);
        valid += batch.valid();
    }
    return trainer.world.sum(sum) / std::max(trainer.world.sum(double(valid)), 1.0);
}
