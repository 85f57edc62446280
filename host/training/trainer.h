// A model with its optimiser: gradients of micro-batches add up, then AdamW, or it and Muon, step the one flat buffer
// of weights. With several ranks each has micro-batches of its own, and a shard of the optimiser (sharded_state.h).
#pragma once
#include <array>
#include <span>
#include <tuple>
#include <utility>
#include "host/model/batch_buffer.h"
#include "host/model/init.h"
#include "sharded_state.h"

enum class MicroBatch { more_follow, last };  // of a step

struct StepSum {
    double loss, norm;
};  // summed loss of the targets; the gradient's global norm

template <class Device>
class Trainer {
public:
    using Real = typename Device::Real;
    using Stat = typename Device::Stat;
    using State = ShardedState<Device>;
    static constexpr bool has_master = State::has_master;

    const World world;
    Gpt<Device> model;

    // B sequences of T in a micro-batch of this rank. With `muon` the matrices inside blocks are stepped by it.
    Trainer(const Config& config, int B, int T, Recompute recompute, float weight_decay, Device device,
            const World& world = {}, std::optional<MuonScale> muon = {})
        : world(world),
          model(config, B * T, recompute, device),
          buffer(B * T, config.window, device),
          on(device),
          state(for_ranks(model.weights, world.size()), weight_decay, muon, world, device) {
        model.allocate(Use::train);
        norm = on.template allocate<Stat>(1);
        scalars = on.template allocate<AdamwStep>(1);
        muon_scalars = on.template allocate<MuonStep>(1);
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
    // step's earlier ones. Where it is known to be the last, ranks sum their gradients while backward goes on.
    void submit(const HostBatch& batch, size_t valid, const Noise& noise, float dropout,
                MicroBatch place = MicroBatch::more_follow) {
        const Staged s = stage(batch.target.size());
        buffer.pack(s.tokens, batch);
        *s.noise = noise;
        *s.d_loss = Stat(1.0 / std::max<size_t>(valid, 1));
        buffer.upload_async(s.tokens);
        on.upload_async(model.noise, s.noise, 1);
        on.upload_async(model.d_loss, s.d_loss, 1);
        const Batch b = buffer.place(batch);
        const auto shape = std::tuple(b.B, b.T, b.first, dropout);
        if (std::exchange(recorded, shape) != shape) batches = {};
        const bool first = steps[submitted % steps.size()].used == 1;
        const Into into = first ? Into::assign : Into::add;
        summed = place == MicroBatch::last && !world.alone();
        on.replay(batches[2 * summed + !first], [&] {
            model.forward(b, dropout, Use::train, into);
            if (!summed) return model.backward(b, dropout, into);
            int bucket = state.shards.buckets();
            model.backward(b, dropout, into, [&](size_t from) { state.sum_gradients(model.dw.data, from, bucket); });
            wait_for_exchange(world, on);
        });
        on.download_async(s.losses, model.stat[model.losses], s.n);
    }

    // Submits the end of a step, which changes the weights unless the gradients' norm is not finite.
    void submit(const AdamwStep& how, const MuonStep& how_muon = {}) {
        const auto range = on.range("optimizer");
        Step& s = steps[submitted++ % steps.size()];
        prepare(s);
        *s.how = how, *s.how_muon = how_muon;
        on.upload_async(scalars, s.how, 1);
        on.upload_async(muon_scalars, s.how_muon, 1);
        on.replay(optimiser[summed], [&] {
            if (!summed && !world.alone()) {
                int bucket = state.shards.buckets();
                state.sum_gradients(model.dw.data, 0, bucket);
                wait_for_exchange(world, on);
            }
            state.gradient_norm(norm, model.dw.data, model.weights.size);
            state.step(model.w.data, model.dw.data, norm, scalars, muon_scalars);
        });
        on.download_async(s.norm, norm, 1);
        s.end = on.mark();
    }

    // For those who decide before a step ends whether it counts: what its micro-batches gave so far. All three wait for
    // them; leave_out() ends the step, as submit(how) does.
    double pending_loss() {  // summed over all ranks
        wait_for(on.mark());
        return world.sum(loss_of(steps[submitted % steps.size()]));
    }
    double pending_norm() {  // of the ranks' gradients once they are summed
        REQUIRE(summed || world.alone());
        Step& s = steps[submitted % steps.size()];
        prepare(s);
        state.gradient_norm(norm, model.dw.data, model.weights.size);
        on.download_async(s.norm, norm, 1);
        wait_for(on.mark());
        return double(*s.norm);
    }
    void leave_out() {  // the weights stay as they are
        pending_norm();
        steps[submitted++ % steps.size()].end = on.mark();
    }

    // Waits for the oldest step submitted; its loss is that of this rank's micro-batches. At most
    // 1 + Device::steps_ahead may be waited for.
    StepSum wait() {
        REQUIRE(waited < submitted);
        Step& s = steps[waited++ % steps.size()];
        wait_for(s.end);
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
    double step(const AdamwStep& how, const MuonStep& how_muon = {}) {
        submit(how, how_muon);
        return wait().norm;
    }

    // Summed loss of the batch's valid targets, without dropout.
    double loss(const HostBatch& batch) {
        model.forward(buffer.upload(batch));
        return summed_loss(batch);
    }

    // One tensor of a flat buffer, as floats on the host: its values from `first` on. With several ranks only the first
    // asks, while the others serve(), until it says end_serving().
    enum class Part { weights, m, v };
    bool has(Part part, const Parameter& parameter) const {
        return part != Part::v || state.has_second_moment(parameter);
    }
    void get(Part part, const Parameter& parameter, size_t first, std::span<float> out) const {
        REQUIRE(first + out.size() <= parameter.size());
        const size_t begin = parameter.slot.offset + first;
        if constexpr (std::is_same_v<Stat, float>) return get(part, begin, out);
        std::vector<Stat> values(out.size());
        get(part, begin, values);
        std::copy(values.begin(), values.end(), out.begin());
    }
    void serve() const { state.serve(); }
    void end_serving() const { state.end(); }
    // What one rank alone has, by another thread, while this one goes on: of a step that was waited for, and before the
    // next one ends.
    void get_aside(Part part, const Parameter& parameter, size_t first, std::span<float> out) const {
        REQUIRE(world.alone() && first + out.size() <= parameter.size());
        on.download_aside(out.data(), flat(part, parameter.slot.offset + first), out.size());
    }
    std::vector<float> get(Part part, const Parameter& parameter) const {
        std::vector<float> values(parameter.size());
        get(part, parameter, 0, values);
        return values;
    }
    void set(Part part, const Parameter& parameter, std::span<const float> values) {
        REQUIRE(values.size() == parameter.size());
        if (part == Part::weights) return set_weights(parameter, values);
        set_state(part, parameter, values);
    }

private:
    // The flat buffers end with as many zeros as it takes to share them.
    static const Layout& for_ranks(Layout& weights, int ranks) {
        weights.size = Shards::padded(weights.size, ranks);
        return weights;
    }
    static typename State::Part of_state(Part part) {
        return part == Part::weights ? State::master : part == Part::m ? State::m : State::v;
    }
    void get(Part part, size_t begin, std::span<Stat> out) const {
        if constexpr (!has_master)
            if (part == Part::weights) return on.download(out.data(), model.w.data + begin, out.size());
        state.get(of_state(part), begin, out);
    }

    void set_state(Part part, const Parameter& parameter, std::span<const float> values) {
        if constexpr (std::is_same_v<Stat, float>) return state.set(of_state(part), parameter.slot.offset, values);
        const std::vector<Stat> as_kept(values.begin(), values.end());
        state.set(of_state(part), parameter.slot.offset, std::span<const Stat>(as_kept.data(), as_kept.size()));
    }
    void set_weights(const Parameter& parameter, std::span<const float> values) {
        if constexpr (has_master) set_state(Part::weights, parameter, values);
        upload_as(model.w[parameter.slot], values, on);
    }

    const Stat* flat(Part part, size_t begin) const {
        if constexpr (!has_master)
            if (part == Part::weights) return model.w.data + begin;
        return state.values(of_state(part), begin);
    }
    void wait_for(const typename Device::Mark& mark) const {
        if (world.alone()) on.wait(mark);
        else world.wait_until([&] { return on.reached(mark); });
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
        MuonStep* how_muon = nullptr;
        Stat* norm = nullptr;
        typename Device::Mark end;
    };

    void prepare(Step& s) {
        if (s.how) return;
        s.how = on.template allocate_host<AdamwStep>(1), s.how_muon = on.template allocate_host<MuonStep>(1);
        s.norm = on.template allocate_host<Stat>(1);
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
    State state;
    Stat* norm;
    AdamwStep* scalars;
    MuonStep* muon_scalars;
    std::vector<Stat> losses;

    std::array<Step, 1 + Device::steps_ahead> steps;
    size_t submitted = 0, waited = 0;  // steps
    bool summed = false;               // the step's gradients, over the ranks
    // Of a step's first micro-batch and of others, and of both where the ranks sum their gradients in them.
    std::array<typename Device::Recording, 4> batches;
    std::array<typename Device::Recording, 2> optimiser;
    std::tuple<int, int, const int*, float> recorded{};  // the micro-batch's shape: B, T, first, dropout
};
