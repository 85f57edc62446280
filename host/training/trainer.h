// A model with its optimiser: gradients of micro-batches add up, then AdamW steps the one flat buffer of weights.
#pragma once
#include <array>
#include <span>
#include <tuple>
#include <utility>
#include "host/model/batch_buffer.h"
#include "host/model/init.h"
#include "host/reference/adamw.h"
#include "host/reference/global_norm.h"

struct StepSum {
    double loss, norm;
};  // summed loss of the targets; the gradient's global norm

template <class Device>
class Trainer {
public:
    using Real = typename Device::Real;
    using Stat = typename Device::Stat;
    static constexpr bool has_master = !std::is_same_v<Real, Stat>;  // else the weights are their own master copy

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
        for (const Parameter& parameter : model.weights.parameters)
            host.push_back({parameter.slot.offset, parameter.size(), parameter.decays() ? weight_decay : 0});
        segments = on.template allocate<AdamwSegment>(host.size());
        segment_count = int(host.size());
        on.upload(segments, host.data(), host.size());
    }

    void initialise(uint64_t seed) {
        std::vector<float> values;
        for (size_t r = 0; r < model.weights.parameters.size(); r++) {
            const Parameter& parameter = model.weights.parameters[r];
            values.resize(parameter.size());
            initial_values(values.data(), parameter, int(r), model.c, seed);
            set_weights(parameter, values);
        }
    }

    // Submits a micro-batch: its gradient, scaled by 1 / valid (targets of the whole step), is added to those of the
    // step's earlier ones.
    void submit(const HostBatch& batch, size_t valid, const Noise& noise, float dropout) {
        const Staged s = stage(batch.target.size());
        buffer.pack(s.tokens, batch);
        *s.noise = noise;
        *s.d_loss = Stat(1.0 / std::max<size_t>(valid, 1));
        buffer.upload_async(s.tokens);
        on.upload_async(model.noise, s.noise, 1);
        on.upload_async(model.d_loss, s.d_loss, 1);
        const Batch b = buffer.place(batch);
        const auto shape = std::tuple(b.B, b.T, b.first, dropout);
        if (std::exchange(recorded, shape) != shape) first_batch = {}, further_batch = {};
        const bool first = steps[submitted % steps.size()].used == 1;
        const Into into = first ? Into::assign : Into::add;
        on.replay(first ? first_batch : further_batch, [&] {
            model.forward(b, dropout, Use::train, into);
            model.backward(b, dropout, into);
        });
        on.download_async(s.losses, model.stat[model.losses], s.n);
    }

    // Submits the end of a step, which changes the weights unless the gradients' norm is not finite.
    void submit(const AdamwStep& how) {
        const auto range = on.range("optimizer");
        Step& s = steps[submitted++ % steps.size()];
        prepare(s);
        *s.how = how;
        on.upload_async(scalars, s.how, 1);
        on.replay(optimiser, [&] {
            global_norm(norm, model.dw.data, model.weights.size, on);
            adamw_update(model.w.data, master, m, v, model.dw.data, norm, scalars, segments, segment_count, on);
        });
        on.download_async(s.norm, norm, 1);
        s.end = on.mark();
    }

    // For those who decide before a step ends whether it counts: what its micro-batches gave so far. All three wait for
    // them; leave_out() ends the step, as submit(how) does.
    double pending_loss() {  // summed
        on.wait(on.mark());
        return loss_of(steps[submitted % steps.size()]);
    }
    double pending_norm() {
        Step& s = steps[submitted % steps.size()];
        prepare(s);
        global_norm(norm, model.dw.data, model.weights.size, on);
        on.download_async(s.norm, norm, 1);
        on.wait(on.mark());
        return double(*s.norm);
    }
    void leave_out() {  // the weights stay as they are
        pending_norm();
        steps[submitted++ % steps.size()].end = on.mark();
    }

    // Waits for the oldest step submitted. At most 1 + Device::steps_ahead may be waited for.
    StepSum wait() {
        REQUIRE(waited < submitted);
        Step& s = steps[waited++ % steps.size()];
        on.wait(s.end);
        const double loss = loss_of(s);
        s.used = 0;
        return {loss, double(*s.norm)};
    }

    // The same, and waits: the summed loss of a micro-batch, the gradient's norm of a step.
    double accumulate(const HostBatch& batch, size_t valid, const Noise& noise, float dropout) {
        submit(batch, valid, noise, dropout);
        on.wait(on.mark());
        const Step& s = steps[submitted % steps.size()];
        return s.batches[s.used - 1].loss();
    }
    double step(const AdamwStep& how) {
        submit(how);
        return wait().norm;
    }

    // Summed loss of the batch's valid targets, without dropout.
    double loss(const HostBatch& batch) {
        model.forward(buffer.upload(batch));
        return summed_loss(batch);
    }

    // One tensor of a flat buffer, as floats on the host: its values from `first` on.
    enum class Part { weights, m, v };
    void get(Part part, const Parameter& parameter, size_t first, std::span<float> out) const {
        REQUIRE(first + out.size() <= parameter.size());
        const Stat* from = flat(part) + parameter.slot.offset + first;
        if constexpr (std::is_same_v<Stat, float>) return on.download(out.data(), from, out.size());
        std::vector<Stat> values(out.size());
        on.download(values.data(), from, out.size());
        std::copy(values.begin(), values.end(), out.begin());
    }
    // The same by another thread, while this one goes on: of a step that was waited for, and before the next one ends.
    void get_aside(Part part, const Parameter& parameter, size_t first, std::span<float> out) const {
        REQUIRE(first + out.size() <= parameter.size());
        on.download_aside(out.data(), flat(part) + parameter.slot.offset + first, out.size());
    }
    std::vector<float> get(Part part, const Parameter& parameter) const {
        std::vector<float> values(parameter.size());
        get(part, parameter, 0, values);
        return values;
    }
    void set(Part part, const Parameter& parameter, std::span<const float> values) {
        REQUIRE(values.size() == parameter.size());
        if (part == Part::weights) return set_weights(parameter, values);
        upload_as(flat(part) + parameter.slot.offset, values, on);
    }

private:
    Stat* flat(Part part) const { return part == Part::weights ? master : part == Part::m ? m : v; }

    void set_weights(const Parameter& parameter, std::span<const float> values) {
        upload_as(master + parameter.slot.offset, values, on);
        if constexpr (has_master) upload_as(model.w[parameter.slot], values, on);
    }

    // Host memory of a micro-batch on its way, and of a step of several.
    struct Staged {
        int* tokens;
        Noise* noise;
        Stat *d_loss, *losses;
        size_t n;  // losses in use
        double loss() const {
            return std::accumulate(losses, losses + n, 0.0, [](double sum, Stat x) { return sum + double(x); });
        }
    };
    struct Step {
        std::vector<Staged> batches;
        size_t used = 0;
        AdamwStep* how = nullptr;
        Stat* norm = nullptr;
        typename Device::Mark end;
    };

    void prepare(Step& s) {
        if (!s.how) s.how = on.template allocate_host<AdamwStep>(1), s.norm = on.template allocate_host<Stat>(1);
    }
    static double loss_of(const Step& s) {
        double loss = 0;
        for (size_t i = 0; i < s.used; i++) loss += s.batches[i].loss();
        return loss;
    }

    // Memory for one more micro-batch of the step that is being submitted.
    const Staged& stage(size_t n) {
        REQUIRE(submitted - waited < steps.size());
        Step& s = steps[submitted % steps.size()];
        if (s.used == s.batches.size())
            s.batches.push_back({on.template allocate_host<int>(buffer.size()), on.template allocate_host<Noise>(1),
                                 on.template allocate_host<Stat>(1), on.template allocate_host<Stat>(model.N_max), 0});
        Staged& mine = s.batches[s.used++];
        mine.n = n;
        return mine;
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

    std::array<Step, 1 + Device::steps_ahead> steps;
    size_t submitted = 0, waited = 0;  // steps
    typename Device::Recording first_batch, further_batch, optimiser;
    std::tuple<int, int, const int*, float> recorded{};  // the micro-batch's shape: B, T, first, dropout
};
