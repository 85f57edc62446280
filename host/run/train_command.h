// The training loop, for any device.
#pragma once
#include "available_memory.h"
#include "host/base/signals.h"
#include "host/checkpoint/huggingface_weights.h"
#include "host/checkpoint/model_files.h"
#include "host/generate/generator_cached.h"
#include "host/options/model_options.h"
#include "host/training/inspect_step.h"
#include "host/training/trainer.h"
#include "host/training/validation.h"
#include "run.h"
#include "step_watch.h"

// The micro-batches of optimiser step number `step`; of several ranks each has its share of the step's sequences.
// take(noise, place). False: a signal came before the last of them.
template <class Take>
bool for_each_micro_batch(const Run& run, int64_t step, HostBatch& batch, Take take) {
    const uint64_t samples = run.state.samples + uint64_t(step - run.state.step) * run.setup.sequences;
    const int share = run.setup.sequences / run.world.size(), first = share * run.world.rank();
    for (int done = first; done < first + share; done += run.setup.B) {
        if (done > first && run.wishes.stop()) return false;
        run.setup.data.train.fill(batch, samples + done, run.setup.B);
        take(Noise{.seed = run.setup.options.seed, .step = uint32_t(step), .row = uint32_t(done * run.setup.T)},
             done + run.setup.B < first + share ? MicroBatch::more_follow : MicroBatch::last);
    }
    return true;
}

inline size_t valid_targets(const Run& run, int64_t step) {
    const uint64_t samples = run.state.samples + uint64_t(step - run.state.step) * run.setup.sequences;
    return run.setup.data.train.valid(samples, run.setup.sequences);
}

template <class Device>
StepInspector<Device> inspector(Trainer<Device>& trainer, const Run& run, int64_t step, HostBatch& batch) {
    return {trainer.model, valid_targets(run, step), run.setup.config.dropout, [&run, step, &batch](const auto& take) {
                for_each_micro_batch(run, step, batch, [&](const Noise& noise, MicroBatch) { take(batch, noise); });
            }};
}

// Computes the step twice. Throws Error{device} naming the tensor that differs: nothing is saved after that.
template <class Device>
void verify(Trainer<Device>& trainer, const Run& run, int64_t step, HostBatch& batch) {
    const std::string where = inspector(trainer, run, step, batch).first_difference();
    if (where.empty() || run.wishes.stop()) return;
    throw Error(
        Exit::device, "step " + std::to_string(step + 1),
        "computed twice it is not the same: the first difference is in " + where,
        "the GPU, its memory or a kernel is at fault: have it checked; --resume goes on from the last checkpoint");
}

// The first tensor of the step that has a number that is not finite, on any rank.
template <class Device>
std::string first_not_finite(Trainer<Device>& trainer, const Run& run, int64_t step, HostBatch& batch) {
    const std::string mine = inspector(trainer, run, step, batch).first_not_finite();
    if (run.world.alone()) return mine;
    const std::vector<std::string> all = run.world.texts_of_all(mine);
    for (size_t r = 0; r < all.size(); r++)
        if (!all[r].empty()) return all[r] + " of rank " + std::to_string(r);
    return "";
}

// Submits optimiser step number `step`, in micro-batches; of several ranks each has its share of the step's sequences.
// False: a signal came before the last of them, and the step is none.
template <class Device>
bool submit_step(Trainer<Device>& trainer, Run& run, int64_t step, HostBatch& batch) {
    const auto range = trainer.model.on.range("step", step + 1);
    const size_t valid = valid_targets(run, step);
    if (run.verifies(step)) verify(trainer, run, step, batch);
    const bool all = for_each_micro_batch(run, step, batch, [&](const Noise& noise, MicroBatch place) {
        trainer.submit(batch, valid, noise, run.setup.config.dropout, place);
    });
    if (!all) return false;
    // Where the loss is there already, or is waited for, it decides too; else the norm alone does, on the device.
    if ((Device::steps_ahead == 0 && run.world.alone()) || run.watches_spikes()) {
        const double loss = trainer.pending_loss() / double(std::max<size_t>(valid, 1));
        if (!run.takes(loss, run.watches_spikes() ? trainer.pending_norm() : 0)) return trainer.leave_out(), true;
    }
    run.before_change();
    trainer.submit(run.adamw(step), run.muon(step));
    return true;
}

// Steps until something is to be done between two of them, or to the end, or a signal. While one step runs, the host
// prepares and submits the next.
template <class Device>
void train_until_pause(Trainer<Device>& trainer, Run& run, HostBatch& batch, StepWatch& watch) {
    const int ahead = run.watches_spikes() ? 0 : Device::steps_ahead;
    int64_t submitted = run.state.step;
    double start = seconds();
    uint64_t sent = run.world.bytes_sent();
    do {
        watch.begin();
        while (submitted <= run.state.step + ahead && submitted < run.setup.steps && !run.wishes.stop() &&
               (submitted == run.state.step || !(run.pauses_after(submitted) || run.wishes.save())) &&
               submit_step(trainer, run, submitted, batch))
            submitted++;
        if (submitted == run.state.step) break;  // stopped before it began
        const int64_t step = run.state.step;
        const size_t valid = valid_targets(run, step);
        const StepSum sum = trainer.wait();
        const double loss = run.wishes.agree(sum.loss) / double(std::max<size_t>(valid, 1)), end = seconds();
        const uint64_t sent_now = run.world.bytes_sent();
        StepResult result{.loss = loss,
                          .grad_norm = sum.norm,
                          .lr = run.adamw(step).lr,
                          .seconds = end - std::exchange(start, end),
                          .bytes_sent = sent_now - std::exchange(sent, sent_now)};
        if (!result.finite()) result.first_not_finite = first_not_finite(trainer, run, step, batch);
        run.report(result);
        run.after_save(Saver::When::done);
    } while (submitted > run.state.step || !(run.pauses_after(run.state.step) || run.wishes.save()));
    watch.pause();
}

// Whether a step from these weights would have a loss: on the sequences that come next.
template <class Device>
bool can_go_on(Trainer<Device>& trainer, const Run& run, HostBatch& batch) {
    if (run.state.skipped_in_a_row > 0) return false;
    run.setup.data.train.fill(batch, run.state.samples, run.setup.B);
    return std::isfinite(trainer.loss(batch));
}

template <class Device>
HasState has_v(const Trainer<Device>& trainer) {
    return [&trainer](const Parameter& p) { return trainer.has(Trainer<Device>::Part::v, p); };
}

// Begins to write a checkpoint of the trainer as it is now: the first rank, with what the others have.
template <class Device>
void save(Trainer<Device>& trainer, Run& run, Run::Values::Sound sound, bool best) {
    if (!run.world.first()) return trainer.serve();
    using Part = typename Trainer<Device>::Part;
    auto rows = [&](Part part) {
        return [&trainer, part](const Parameter& parameter, size_t first, std::span<float> out) {
            if (trainer.world.alone()) trainer.get_aside(part, parameter, first, out);
            else trainer.get(part, parameter, first, out);
        };
    };
    Run::Values values{trainer.model.weights, rows(Part::weights)};
    values.optimizer = {{"m", rows(Part::m)}, {"v", rows(Part::v), has_v(trainer)}};
    values.master = Trainer<Device>::has_master;
    values.copies = !run.world.alone()        ? Saver::Copies::before
                    : Device::steps_ahead > 0 ? Saver::Copies::at_once
                                              : Saver::Copies::at_change;
    values.sound = sound;
    run.save(values, best);
    trainer.end_serving();
}

// Weights from a checkpoint to resume, from a directory to start from, or random.
template <class Device>
void load(Trainer<Device>& trainer, const Run& run) {
    using Part = typename Trainer<Device>::Part;
    auto rows = [&](Part part) {
        return [&trainer, part](const Parameter& parameter, std::span<const float> values) {
            trainer.set(part, parameter, values);
        };
    };
    const Layout& layout = trainer.model.weights;
    if (run.setup.resumed) {
        huggingface::load_weights(run.setup.resumed->path, run.setup.config, layout, rows(Part::weights));  // verified
        std::vector<NamedTargets> optimizer{{"m", rows(Part::m)}, {"v", rows(Part::v), has_v(trainer)}};
        if (Trainer<Device>::has_master) optimizer.push_back({"master", rows(Part::weights)});
        load_optimizer(*run.setup.resumed, layout, optimizer);
    } else if (!run.setup.source.empty()) {
        load_weights(run.setup.source, run.setup.config, layout, rows(Part::weights));
    } else {
        trainer.initialise(run.setup.options.seed);
    }
}

// What writes the texts to look at, and its cache: made before training, so that too little memory shows at once.
template <class Device>
void make_generator(std::optional<Generator<Device>>& generator, Trainer<Device>& trainer, const Run& run) {
    const Options& o = run.setup.options;
    if (o.sample_tokens == 0 || !run.world.first()) return;
    const Generation how{.sampling = sampling_of(o),
                         .repetition_penalty = float(o.repetition_penalty),
                         .tokens = o.sample_tokens,
                         .seed = o.seed,
                         .context = run.setup.T,
                         .separator = run.setup.data.train.separator};
    generator.emplace(trainer.model, how, 1,
                      int(std::min<size_t>(run.setup.T, run.prompt_tokens().size() + size_t(how.tokens))));
}

// A text of the model as it is now, unless a signal comes: then it is time to save.
template <class Device>
void sample(Generator<Device>& generator, Run& run) {
    std::vector<GeneratedText> text{{run.prompt_tokens(), uint32_t(run.state.step)}};
    try {
        generator.write(text, [](size_t, int) { return !stop_requested; });
    } catch (const Error& error) {  // a text to look at must not cost the weights
        if (error.code != Exit::numeric) throw;
        return run.messages->report_no_sample();
    }
    if (!stop_requested) run.messages->report_sample(run.text_of(text[0].tokens));
}

// Trains from where the run stands to its last step, or until a signal, together with the other ranks of the world.
// `device` says where, for people.
template <class Device>
Exit train(const Options& options, const Device& on, const std::string& device, const World& world) {
    Run run(options, world, [&] { return memory_of_a_rank(on, world); });
    Trainer<Device> trainer(run.setup.config, run.setup.B, run.setup.T, run.setup.options.recompute,
                            float(run.setup.options.weight_decay), on, world, muon_of(run.setup.options));
    load(trainer, run);
    const NoSaveOutlives guard{run};
    HostBatch batch;
    std::optional<Generator<Device>> generator;
    make_generator(generator, trainer, run);
    run.begin();
    // A rank that hangs holds up all. The first ends them: it speaks to people, and knows whether a save is under way.
    const double step_timeout = world.first() ? run.setup.options.step_timeout : 0;
    StepWatch watch(step_timeout, [=] { end_a_hung_run(step_timeout); });
    run.announce(trainer.model.parameters(), device);
    int64_t sampled = -1;
    auto sample_once = [&] {
        if (generator && std::exchange(sampled, run.state.step) != run.state.step) sample(*generator, run);
    };
    auto validate = [&](int sequences) {
        if (!run.setup.data.val) return false;
        const double start = seconds();
        const double loss = validation_loss(trainer, *run.setup.data.val, run.setup.B, sequences);
        return run.report_validation(loss, seconds() - start);
    };
    if (run.finished()) {  // resumed, but there is nothing left to do
        run.finish(false);
        return Exit::done;
    }
    const std::optional<StepRange>& window = options.profile_steps;
    while (!run.finished() && !run.wishes.stop()) {
        const int64_t before = run.state.step;
        if (window && before + 1 == window->first) trainer.model.on.profiler_start();
        train_until_pause(trainer, run, batch, watch);
        if (window && run.state.step == window->last) trainer.model.on.profiler_stop();
        if (run.finished() || run.state.step == before) break;
        const bool best = run.state.due(run.setup.options.eval_every) && validate(run.setup.options.eval_sequences);
        if (run.state.due(run.setup.options.sample_every))
            sample_once();  // before a save, which keeps the log as it is then
        const bool asked = run.wishes.take_save();
        if (best || asked || run.state.due(run.setup.options.save_every))
            save(trainer, run, Run::Values::Sound::next_step_says, best);
    }
    const bool stopped = !run.finished();
    const bool best = !stopped && !run.stops_early() && validate(0);  // the last figure is that of all validation data
    if (!stopped) sample_once();
    const bool sound = world.first() && can_go_on(trainer, run, batch);
    save(trainer, run, sound ? Run::Values::Sound::yes : Run::Values::Sound::no, best);
    run.finish(stopped);
    return stopped ? Exit::stopped : Exit::done;
}
