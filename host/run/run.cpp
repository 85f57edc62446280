#include "run.h"
#include <fmt/core.h>
#include <algorithm>
#include <cmath>
#include "host/base/messages.h"
#include "host/base/signals.h"
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

void Run::save(const Layout& layout, const GetParameter& weights, const std::vector<NamedParameters>& optimizer,
               bool best) {
    const Saving saving;
    directory->follow();
    if (saved_step != state.step) {
        state.log_bytes = messages->log_bytes();
        CheckpointContents contents;
        contents.step = state.step;
        contents.model = {setup.config, setup.special,
                          setup.options.dtype == Dtype::bf16 ? safetensors::Dtype::BF16 : safetensors::Dtype::F32};
        contents.layout = &layout;
        contents.weights = weights;
        contents.optimizer = optimizer;
        contents.state = {{"loop", to_json(state)}, {"options", to_json(setup.options)}, {"rate", to_json(rate.rate)}};
        contents.run = fingerprint_of(setup);
        if (setup.data.tokenizer) {
            contents.texts.emplace_back("tokenizer.json", tokenizer_json(*setup.data.tokenizer));
            contents.texts.emplace_back("tokenizer_config.json", tokenizer_config_json(*setup.data.tokenizer));
        }
        keep_companions(contents.texts, setup.companions);
        try {
            save_checkpoint(directory->path(), contents);
            saved_step = state.step;
            failed_saves = 0;
            save_error.reset();
        } catch (const Error& error) {
            if (error.code != Exit::io || ++failed_saves == 3) throw;
            save_error = error;
            warn(std::string(error.what()) + "; training goes on");
            return;
        }
    }
    if (best) mark_best(directory->path(), state.step);
    prune_checkpoints(directory->path(), setup.options.keep);
}

void Run::report(const StepResult& step) {
    const bool finite = std::isfinite(step.loss) && std::isfinite(step.grad_norm);
    state.step++;
    state.samples += setup.sequences;
    state.skipped_in_a_row = finite ? 0 : state.skipped_in_a_row + 1;
    state.skipped += !finite;
    if (messages) messages->report(step);
    else progress.note(fmt::format("step {}  {:.3f} s", state.step, step.seconds));
}

bool Run::report_validation(double loss, double seconds) {
    const bool best = loss < state.best_val;
    state.last_val = loss;
    if (best) state.best_val = loss;
    if (best) state.since_best = 0;
    else if (!finished()) state.since_best++;  // the last, of all the data, counts for nothing
    if (messages) messages->report_validation(loss, seconds);
    validation_broke = !std::isfinite(loss);
    if (validation_broke) warn("after step " + std::to_string(state.step) + " the validation loss is not finite");
    return best;
}

void Run::finish(bool stopped) {
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
