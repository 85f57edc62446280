// Loss of a model on data it does not train on.
#pragma once
#include "host/data/dataset.h"
#include "trainer.h"

// Mean loss of the valid targets of `batches` batches of B windows, spread evenly over the data; 0: of all windows, each once.
template <class Device>
double validation_loss(Trainer<Device>& trainer, const Dataset& data, int B, int batches) {
    const uint64_t windows = data.windows(), all = (windows + B - 1) / B;
    const uint64_t count = batches > 0 ? std::min<uint64_t>(batches, all) : all;
    HostBatch batch;
    double sum = 0;
    size_t valid = 0;
    for (uint64_t i = 0; i < count; i++) {
        const uint64_t first = i * all / count * B;
        data.fill(batch, first, int(std::min<uint64_t>(B, windows - first)));
        sum += trainer.loss(batch);
        valid += batch.valid();
    }
    return sum / double(std::max<size_t>(valid, 1));
}
