// A step that is computed once more, to look at every tensor on the way: where a number first is not finite, and
// whether the same bits come out twice.
#pragma once
#include <cmath>
#include <functional>
#include <string>
#include <type_traits>
#include <vector>
#include "host/base/file_reader.h"
#include "host/model/batch_buffer.h"

// Gives every micro-batch of a step: take(batch, noise).
using MicroBatches = std::function<void(const std::function<void(const HostBatch&, const Noise&)>& take)>;

template <class Device>
class StepInspector {
public:
    using Real = typename Device::Real;
    using Stat = typename Device::Stat;

    // of a step with so many targets. What the model computed last is lost, its weights stay.
    StepInspector(Gpt<Device>& model, size_t valid, float dropout, MicroBatches batches)
        : model(model), on(model.on), valid(valid), dropout(dropout), batches(std::move(batches)) {}

    // The first tensor with a number that is not finite: of the weights, then in the order of forward, then of the
    // gradients in the order of backward. "" if all are finite.
    std::string first_not_finite() {
        std::string found;
        const auto look = [&](const std::string& name, auto values) {
            if (!found.empty()) return;
            for (const auto x : values)
                if (!std::isfinite(float(x))) return void(found = name);
        };
        for (const Parameter& p : model.weights.parameters)
            visit(look, "the weights of " + p.name, model.w[p.slot], p.size());
        if (found.empty()) compute(look);
        return found;
    }

    // Computes it twice: the first tensor whose bits differ, or "".
    std::string first_difference() {
        std::vector<uint64_t> seen;
        size_t at = 0;
        std::string found;
        compute([&](const std::string&, auto values) { seen.push_back(files::hash(bytes_of(values))); });
        compute([&](const std::string& name, auto values) {
            if (files::hash(bytes_of(values)) != seen.at(at++) && found.empty()) found = name;
        });
        return found;
    }

private:
    template <class T>
    static std::string_view bytes_of(std::span<const T> values) {
        return {reinterpret_cast<const char*>(values.data()), values.size_bytes()};
    }

    // Reads a tensor in pieces.
    template <class Look, class T>
    void visit(const Look& look, const std::string& name, const T* values, size_t n) {
        constexpr size_t most = size_t(1) << 20;
        std::vector<std::remove_const_t<T>> piece(std::min(n, most));
        for (size_t first = 0; first < n; first += most) {
            const size_t size = std::min(most, n - first);
            on.download(piece.data(), values + first, size);
            look(name, std::span<const T>(piece.data(), size));
        }
    }

    template <class Look>
    void compute(const Look& look) {
        Into into = Into::assign;
        BatchBuffer<Device> buffer(model.N_max, model.c.window, on);
        batches([&](const HostBatch& host, const Noise& noise) {
            const Stat d_loss = Stat(1.0 / double(std::max<size_t>(valid, 1)));
            const Batch b = buffer.upload(host);
            on.upload(model.noise, &noise, 1);
            on.upload(model.d_loss, &d_loss, 1);
            model.forward(b, dropout, Use::train, into);
            activations(look, b.B * b.T);
            model.backward(b, dropout, into);
            into = Into::add;
        });
        for (size_t r = model.weights.parameters.size(); r-- > 0;) {
            const Parameter& p = model.weights.parameters[r];
            visit(look, "the gradient of " + p.name, model.dw[p.slot], p.size());
        }
    }

    // What forward leaves, in its order. What layers share (--recompute) is the last one's.
    template <class Look>
    void activations(const Look& look, int N) {
        for (const bool shared : {false, true}) {
            int layer = -1, norms = 0;
            for (const Parameter& p : model.acts.parameters) {
                if (p.name == "branch") break;  // what follows is backward's
                if (p.name == "in" || p.name == "out") layer++, norms = 0;
                norms += p.name == "norm";
                if (is_shared(p, layer) != shared) continue;
                const std::string name = norms == 2 && p.name == "norm" ? "norm2" : p.name;
                const size_t width = p.size() / size_t(p.shape[0]);
                visit(look, name + place_of(shared ? model.c.L - 1 : layer), model.x[p.slot],
                      std::min(size_t(N), size_t(p.shape[0])) * width);
            }
        }
        visit(look, "the losses", model.stat[model.losses], size_t(N));
    }
    bool is_shared(const Parameter& p, int layer) const {
        if (layer != 0 || model.c.L < 2 || p.name == "in") return false;
        const BlockActs& a = model.ab[0];
        const bool of_mlp =
            p.slot.offset == a.norm2.out.offset || p.slot.offset == a.up.offset || p.slot.offset == a.act.offset;
        return model.recompute == Recompute::block || (model.recompute == Recompute::mlp && of_mlp);
    }
    std::string place_of(int layer) const {
        return layer < model.c.L ? " of layer " + std::to_string(layer) : " of the head";
    }

    Gpt<Device>& model;
    const Device& on;
    const size_t valid;
    const float dropout;
    const MicroBatches batches;
};
