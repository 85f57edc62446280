// A model with its optimiser: gradients of micro-batches add up, then AdamW steps the one flat buffer of weights.
#pragma once
#include <span>
#include "inference.h"
#include "init.h"
#include "reference/adamw.h"
#include "reference/global_norm.h"

template <class Device>
class Trainer {
public:
    using Real = typename Device::Real;
    using Stat = typename Device::Stat;
    static constexpr bool has_master = !std::is_same_v<Real, Stat>;   // else the weights are their own master copy

    Gpt<Device> model;

    // B sequences of T in a micro-batch.
    Trainer(const Config& config, int B, int T, Recompute recompute, float weight_decay, Device device)
        : model(config, B * T, recompute, device), buffer(B * T, device), on(device) {
        model.allocate(Use::train);
        const size_t n = model.weights.size;
        m = on.template allocate<Stat>(n);
        v = on.template allocate<Stat>(n);
        if constexpr (has_master) master = on.template allocate<Stat>(n);
        else master = model.w.data;
        norm = on.template allocate<Stat>(1);
        scalars = on.template allocate<AdamwStep>(1);
        std::vector<AdamwSegment> host;
        for (const Row& row : model.weights.rows) host.push_back({row.slot.offset, row.size(), row.decays() ? weight_decay : 0});
        segments = on.template allocate<AdamwSegment>(host.size());
        segment_count = int(host.size());
        on.upload(segments, host.data(), host.size());
    }

    void initialise(uint64_t seed) {
        std::vector<float> values;
        for (size_t r = 0; r < model.weights.rows.size(); r++) {
            const Row& row = model.weights.rows[r];
            values.resize(row.size());
            initial_values(values.data(), row, int(r), model.c, seed);
            set_weights(row, values);
        }
    }

    // Adds the gradient of the micro-batch, scaled by 1 / valid (targets of the whole batch); returns its summed loss.
    double accumulate(const HostBatch& batch, size_t valid, const Noise& noise, float dropout) {
        const Batch b = buffer.upload(batch);
        const Stat d_loss = Stat(1.0 / std::max<size_t>(valid, 1));
        on.upload(model.d_loss, &d_loss, 1);
        on.upload(model.noise, &noise, 1);
        model.forward(b, dropout, Use::train);
        model.backward(b, dropout);
        return summed_loss(batch);
    }

    // Steps the weights and clears the gradients. Returns the gradient's global norm; if that is not finite, nothing changes.
    double step(const AdamwStep& how) {
        const size_t n = model.weights.size;
        global_norm(norm, model.dw.data, n, on);
        on.upload(scalars, &how, 1);
        adamw_update(model.w.data, master, m, v, model.dw.data, norm, scalars, segments, segment_count, on);
        on.zero(model.dw.data, n);
        Stat host;
        on.download(&host, norm, 1);
        return double(host);
    }

    // Summed loss of the batch's valid targets, without dropout.
    double loss(const HostBatch& batch) {
        model.forward(buffer.upload(batch));
        return summed_loss(batch);
    }

    // Logits (V) of the token that follows.
    std::vector<float> logits(const std::vector<int>& tokens) { return next_logits(model, buffer, tokens); }

    // One tensor of a flat buffer, as floats on the host.
    enum class Part { weights, m, v };
    std::vector<float> get(Part part, const Row& row) const {
        std::vector<Stat> values(row.size());
        on.download(values.data(), flat(part) + row.slot.offset, row.size());
        return {values.begin(), values.end()};
    }
    void set(Part part, const Row& row, std::span<const float> values) {
        REQUIRE(values.size() == row.size());
        if (part == Part::weights) return set_weights(row, values);
        const std::vector<Stat> host(values.begin(), values.end());
        on.upload(flat(part) + row.slot.offset, host.data(), host.size());
    }

private:
    Stat* flat(Part part) const { return part == Part::weights ? master : part == Part::m ? m : v; }

    void set_weights(const Row& row, std::span<const float> values) {
        const std::vector<Stat> full(values.begin(), values.end());
        on.upload(master + row.slot.offset, full.data(), full.size());
        if constexpr (!has_master) return;
        const std::vector<Real> rounded(values.begin(), values.end());
        on.upload(model.w[row.slot], rounded.data(), rounded.size());
    }

    double summed_loss(const HostBatch& batch) {
        losses.resize(batch.target.size());
        on.download(losses.data(), model.stat[model.losses], losses.size());
        return std::accumulate(losses.begin(), losses.end(), 0.0, [](double sum, Stat x) { return sum + double(x); });
    }

    BatchBuffer<Device> buffer;
    Device on;
    Stat *master, *m, *v, *norm;
    AdamwStep* scalars;
    AdamwSegment* segments;
    int segment_count = 0;
    std::vector<Stat> losses;
};
