// Loss of a model on data it does not train on.
#pragma once
#include "host/data/dataset.h"
#include "trainer.h"

// Mean loss of the valid targets of `sequences` windows, spread evenly over the data; 0: of all windows, each once.
// Which windows they are does not depend on B, how many are computed at a time:
// runs of different --batch can be compared.
template <class Device>
double validation_loss(Trainer<Device>& trainer, const Dataset& data, int B, int sequences) {
    const uint64_t windows = data.windows();
    const uint64_t count = sequences > 0 ? std::min<uint64_t>(sequences, windows) : windows;
    HostBatch batch;
    double sum = 0;
    size_t valid = 0;
    std::vector<uint64_t> samples;
    for (uint64_t i = 0; i < count; i += samples.size()) {
        samples.clear();
        for (uint64_t k = i; k < std::min(i + B, count); k++) samples.push_back(k * windows / count);
        data.fill(batch, std::span<const uint64_t>(samples.data(), samples.size()));  // nvcc converts no vector
        sum += trainer.loss(batch);
        valid += batch.valid();
    }
    return sum / double(std::max<size_t>(valid, 1));
}
