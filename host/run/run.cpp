#include "run.h"
#include <fmt/core.h>
#include <algorithm>
#include <cmath>
#include <utility>
#include "host/base/messages.h"
#include "host/checkpoint/checkpoint_names.h"
#include "host/checkpoint/huggingface_weights.h"
#include "host/options/flag_table.h"
#include "host/options/model_options.h"
#include "host/tokenizer/tokenizer_json.h"
#include "host/world/handshake.h"

namespace {

// The first rank verifies all of it, and the others take the one that it found whole.
Checkpoint checkpoint_for_all(const std::string& given, const World& world) {
    if (world.alone()) return checkpoint_to_resume(given, Verify::checksums, warn);
    std::optional<Checkpoint> found;
    if (world.first()) found = checkpoint_to_resume(given, Verify::checksums, warn);
    const std::string path = world.text_of_first(found ? found->path : "");
    return found ? *found : open_checkpoint(path, Verify::sizes);
}

// What every rank has found out by itself must be what the first has.
void require_same_run(const World& world, const RunSetup& setup, const LearningRate& rate) {
    Json facts = fingerprint_of(setup);
    facts["steps"] = setup.steps;
    facts["rate"] = to_json(rate);
    facts["validation windows"] = setup.data.val ? setup.data.val->windows() : 0;
    if (setup.resumed) {
        facts["checkpoint"] = files::hex(files::hash_file(setup.resumed->path + "/manifest.json"));
        facts["checkpoint's step"] = setup.resumed->step;
    }
    require_same(world, facts, "has another model, other data or another checkpoint",
                 "all ranks need the same files under the same names");
}

}  // namespace

Run::Run(const Options& options, const World& world) : world(world), wishes(world) {
    std::optional<Checkpoint> resumed;
    Json saved;
    if (options.resume) {
        if (world.first()) directory = RunDirectory::of_old_run(resume_point(*options.resume).run);
        resumed = checkpoint_for_all(*options.resume, world);
        saved = read_state(*resumed);
        state = loop_state_from_json(saved.value("loop", Json()), resumed->path + "/state.json");
    }
    setup = set_up_run(options, resumed, progress);
    if (resumed) rate = resumed_rate(setup, saved, state.step, resumed->path + "/state.json");
    else rate.rate = rate_of(setup);
    require_same_run(world, setup, rate.rate);
    if (!resumed && world.first()) directory = RunDirectory::for_new_run(options, setup.name, setup.source);
}

void Run::begin() {
    if (world.first()) {
        directory->begin();
        messages.emplace(setup, state, directory->path(), progress);
        // Killed behind the save and before the links.
        if (setup.resumed) repair_latest(directory->path(), *setup.resumed);
        if (setup.resumed && state.best_step == state.step && best_step(directory->path()) != state.step)
            mark_best(directory->path(), state.step);
        files::sync_directory(directory->path());  // the log is there before a checkpoint counts its lines
    }
    world.write_output_to(world.text_of_first(directory ? directory->path() : ""));
}

void Run::announce(size_t parameters, const std::string& device) {
    if (messages) return messages->announce(parameters, device, rate.change);
    progress.note(fmt::format("{} parameters on {}", parameters, device));
}

bool Run::pauses_after(int64_t step) const {
    const auto due = [=](int every) { return every > 0 && step % every == 0; };
    const auto& window = setup.options.profile_steps;
    const bool profiler = window && (step + 1 == window->first || step == window->last);
    return step >= setup.steps || profiler || due(setup.options.eval_every) || due(setup.options.save_every) ||
           due(setup.options.sample_every);
}

AdamwStep Run::adamw(int64_t step) const {
    return {.lr = float(rate.rate.at(int(step))),
            .beta1 = float(setup.options.beta1),
            .beta2 = float(setup.options.beta2),
            .eps = float(setup.options.eps),
            .clip = float(setup.options.clip),
            .correction1 = float(1 - std::pow(setup.options.beta1, step + 1)),
            .correction2 = float(1 - std::pow(setup.options.beta2, step + 1))};
}

namespace {

// What the model came with stays as it was, but for its tokenizer.json, which ours is made from.
void keep_companions(std::vector<std::pair<std::string, std::string>>& texts,
                     const std::vector<std::pair<std::string, std::string>>& companions) {
    for (const auto& kept : companions) {
        const auto same =
            std::find_if(texts.begin(), texts.end(), [&](const auto& t) { return t.first == kept.first; });
        if (same == texts.end()) texts.push_back(kept);
        else same->second = kept.second;
    }
}

}  // namespace

CheckpointContents Run::contents() const {
    CheckpointContents c;
    c.step = state.step;
    c.model = {setup.config, setup.special,
               setup.options.dtype == Dtype::bf16 ? safetensors::Dtype::BF16 : safetensors::Dtype::F32};
    c.state = {{"loop", to_json(state)}, {"options", to_json(setup.options)}, {"rate", to_json(rate.rate)}};
    c.run = fingerprint_of(setup);
    return c;
}

void Run::add_texts(CheckpointContents& c) const {
    if (setup.data.tokenizer) {
        c.texts.emplace_back("tokenizer.json", tokenizer_json(*setup.data.tokenizer));
        c.texts.emplace_back("tokenizer_config.json", tokenizer_config_json(*setup.data.tokenizer));
    }
    keep_companions(c.texts, setup.companions);
}

static void warn_of_last_checkpoint(int64_t step) {
    warn("after step " + std::to_string(step) +
         " training can hardly go on: its numbers are not finite; older checkpoints are kept");
}

void Run::save(const Values& values, bool best) {
    after_save(Saver::When::now);
    directory->follow();
    const bool sound = values.sound == Values::Sound::yes, earlier_proven = unpruned && proven;
    const auto finish = [this, best = best ? state.step : state.best_step, sound, path = directory->path()] {
        // Again where it failed at an earlier save, and what it leads to is still there.
        if (best_step(path) != best && files::exists(path + "/" + checkpoint_name(best))) mark_best(path, best);
        if (sound) prune_checkpoints(path, setup.options.keep);
    };
    unpruned = !sound, proven = false;
    if (values.sound == Values::Sound::no) warn_of_last_checkpoint(state.step);
    if (saved_step == state.step) return finish();
    state.log_bytes = messages->log_bytes();
    CheckpointContents c = contents();
    c.layout = &values.layout;
    // Once the weights, once what the optimiser has.
    std::vector<Snapshot::Part> parts{{values.weights, values_read(c.model, values.layout)}};
    std::vector<size_t> once;
    for (const Parameter& p : values.layout.parameters) once.push_back(p.size());
    for (const NamedParameters& part : values.optimizer) parts.push_back({part.get, once});
    if (values.master)
        for (size_t i = 0; i < once.size(); i++) parts[0].reads[i] += once[i];
    auto snapshot =
        std::make_unique<Snapshot>(values.layout, std::move(parts),
                                   values.copies == Saver::Copies::at_change ? Snapshot::Copying::by_all_threads
                                                                             : Snapshot::Copying::by_this_thread);
    c.weights = snapshot->part(0);
    for (size_t i = 0; i < values.optimizer.size(); i++)
        c.optimizer.push_back({values.optimizer[i].prefix, snapshot->part(i + 1)});
    if (values.master) c.optimizer.push_back({"master", snapshot->part(0)});
    saving_step = state.step;
    Snapshot* const read = snapshot.get();
    saver.begin(std::move(snapshot), values.copies, [=, this, path = directory->path()]() mutable {
        if (earlier_proven) prune_checkpoints(path, setup.options.keep);
        messages->sync_log();
        add_texts(c);
        save_checkpoint(path, c);
        REQUIRE(read->all_read());
        finish();
    });
}

void Run::after_save(Saver::When when) {
    if (when == Saver::When::done && !saver.done()) return;
    if (saving_step < 0 && !pruning) return when == Saver::When::done ? prune_in_background() : void();
    const std::exception_ptr problem = saver.finish();
    const int64_t step = std::exchange(saving_step, -1);
    pruning = false;
    try {
        if (problem) std::rethrow_exception(problem);
        if (step >= 0) {
            saved_step = step;
            failed_saves = 0;
            save_error.reset();
            if (!finished()) messages->warn_of_disk();
        }
        if (when == Saver::When::done) prune_in_background();
    } catch (const Error& error) {
        if (error.code != Exit::io || ++failed_saves == 3) throw;
        save_error = error;
        warn(std::string(error.what()) + "; training goes on");
    }
}

void Run::prune_in_background() {
    if (!unpruned || !proven) return;
    unpruned = false, pruning = true;
    saver.begin(nullptr, Saver::Copies::at_change,
                [path = directory->path(), keep = setup.options.keep] { prune_checkpoints(path, keep); });
}

void Run::hear_of_step(bool finite) {
    if (!unpruned || proven) return;
    proven = finite;
    if (!finite && state.skipped_in_a_row == 1) warn_of_last_checkpoint(state.step - 1);
}

bool Run::takes(double loss, double norm) const {
    return std::isfinite(loss) && std::isfinite(norm) && !state.window.is_spike(spike_rule(), loss, norm);
}

bool Run::verifies(int64_t step) const {
    return setup.options.verify_every > 0 && (step + 1) % setup.options.verify_every == 0;
}

void Run::report(const StepResult& step) {
    const bool finite = step.finite(), spike = finite && !takes(step.loss, step.grad_norm);
    state.step++;
    state.samples += setup.sequences;
    state.skipped_in_a_row = finite ? 0 : state.skipped_in_a_row + 1;
    state.skipped += !finite;
    state.spikes += spike;
    hear_of_step(finite);
    if (finite) state.window.add(spike_rule(), step.loss, step.grad_norm, spike);
    if (messages) messages->report(step, spike);
    else progress.note(fmt::format("step {}  {:.3f} s", state.step, step.seconds));
}

bool Run::report_validation(double loss, double seconds) {
    const bool best = loss < state.best_val;
    state.last_val = loss;
    if (best) state.best_val = loss, state.best_step = state.step;
    if (best) state.since_best = 0;
    else if (!finished()) state.since_best++;  // the last, of all the data, counts for nothing
    if (messages) messages->report_validation(loss, seconds);
    validation_broke = !std::isfinite(loss);
    if (validation_broke) warn("after step " + std::to_string(state.step) + " the validation loss is not finite");
    return best;
}

void Run::finish(bool stopped) {
    after_save(Saver::When::now);
    if (!messages) return;
    if (save_error) throw Error(*save_error);
    messages->finish(stopped);
    if (validation_broke && !stopped)
        throw Error(Exit::numeric, directory->path(), "the last validation loss is not finite",
                    "do the validation data hold what the model cannot compute with? ./train_gpt eval --model " +
                        directory->path() + " --data FILE scores them one by one");
}

std::vector<int> Run::prompt_tokens() const {
    if (!setup.prompt.empty()) return setup.prompt;
    return {setup.data.train.separator >= 0 ? setup.data.train.separator
            : setup.data.tokenizer          ? setup.data.tokenizer->encode("\n").at(0)
                                            : 0};
}

std::string Run::text_of(const std::vector<int>& tokens) const {
    if (setup.data.tokenizer) return setup.data.tokenizer->decode(tokens);
    std::string text;
    for (int token : tokens) text += (text.empty() ? "" : " ") + std::to_string(token);
    return text;
}
