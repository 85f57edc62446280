// Losses of chosen tokens under a model. Segments lie side by side in the rows of a batch, and none sees another.
#pragma once
#include <functional>
#include "host/model/batch_buffer.h"
#include "sliding_windows.h"

// Up to B rows of up to T inputs.
class PackedRows {
public:
    PackedRows(int B, int T) : B(B), T(T) {}

    struct Place {
        size_t segment, row, begin, inputs;
    };                                               // where a segment's inputs lie
    bool add(size_t index, const Segment& segment);  // false: no room until clear()
    HostBatch batch() const;                         // as wide as its longest row
    const std::vector<Place>& places() const { return all; }
    void clear() { rows.clear(), all.clear(), segments.clear(); }

private:
    const int B, T;
    std::vector<size_t> rows;  // inputs in use
    std::vector<Place> all;
    std::vector<Segment> segments;
};

template <class Device>
class Scorer {
public:
    // The model takes batches of B sequences of T.
    Scorer(Gpt<Device>& model, int B, int T) : model(model), buffer(B * T, model.c.window, model.on), packed(B, T) {}

    void add(const Segment& segment) {
        if (!packed.add(nats.size(), segment)) {
            flush();
            REQUIRE(packed.add(nats.size(), segment));
        }
        nats.push_back(0);
    }
    // What is waiting. Must be called before `nats` is read.
    void flush() {
        if (packed.places().empty()) return;
        const HostBatch batch = packed.batch();
        model.forward(buffer.upload(batch));
        losses.resize(batch.target.size());
        model.on.download(losses.data(), model.stat[model.losses], losses.size());
        for (const PackedRows::Place& p : packed.places()) {
            const auto* from = losses.data() + p.row * size_t(batch.T) + p.begin;
            for (size_t i = 0; i < p.inputs; i++) nats[p.segment] += double(from[i]);
        }
        packed.clear();
    }

    std::vector<double> nats;  // of every segment added, the summed loss of its targets

private:
    Gpt<Device>& model;
    BatchBuffer<Device> buffer;
    PackedRows packed;
    std::vector<typename Device::Stat> losses;
};
