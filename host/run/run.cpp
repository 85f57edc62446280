#include "run.h"
#include <cmath>
#include "host/base/messages.h"
#include "host/base/signals.h"
#include "host/options/flag_table.h"
#include "host/options/model_options.h"
#include "host/tokenizer/tokenizer_json.h"

Run::Run(const Options& options) {
    std::optional<Checkpoint> resumed;
    if (options.resume) {
        directory = RunDirectory::of_old_run(resume_point(*options.resume).run);
        resumed = checkpoint_to_resume(*options.resume, Verify::checksums, warn);
        state = loop_state_from_json(read_state(*resumed).value("loop", Json()), resumed->path + "/state.json");
    }
    setup = set_up_run(options, resumed, progress);
    if (!resumed) directory = RunDirectory::for_new_run(options, setup.name, setup.source);
}

void Run::begin() {
    directory->begin();
    messages.emplace(setup, state, directory->path(), progress);
}

bool Run::pauses_after(int64_t step) const {
    const auto due = [=](int every) { return every > 0 && step % every == 0; };
    const auto& window = setup.options.profile_steps;
    const bool profiler = window && (step + 1 == window->first || step == window->last);
    return step >= setup.steps || profiler || due(setup.options.eval_every) || due(setup.options.save_every) ||
           due(setup.options.sample_every);
}

AdamwStep Run::adamw(int64_t step) const {
    const double peak = peak_lr(setup.options, setup.config);
    const LearningRate rate{peak, std::min(peak, setup.options.min_lr.value_or(peak / 10)),
                            setup.options.warmup.value_or(int(setup.steps / 20)), int(setup.steps),
                            setup.options.schedule};
    return {.lr = float(rate.at(int(step))),
            .beta1 = float(setup.options.beta1),
            .beta2 = float(setup.options.beta2),
            .eps = float(setup.options.eps),
            .clip = float(setup.options.clip),
            .correction1 = float(1 - std::pow(setup.options.beta1, step + 1)),
            .correction2 = float(1 - std::pow(setup.options.beta2, step + 1))};
}

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
        contents.state = {{"loop", to_json(state)}, {"options", to_json(setup.options)}};
        contents.run = fingerprint_of(setup);
        if (setup.data.tokenizer) {
            contents.texts.emplace_back("tokenizer.json", tokenizer_json(*setup.data.tokenizer));
            contents.texts.emplace_back("tokenizer_config.json", tokenizer_config_json(*setup.data.tokenizer));
        }
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
    messages->report(step);
}

bool Run::report_validation(double loss, double seconds) {
    const bool best = loss < state.best_val;
    state.last_val = loss;
    if (best) state.best_val = loss;
    if (best) state.since_best = 0;
    else if (!finished()) state.since_best++;  // the last, of all the data, counts for nothing
    messages->report_validation(loss, seconds);
    return best;
}

void Run::finish(bool stopped) {
    if (save_error) throw Error(*save_error);
    messages->finish(stopped);
}

std::vector<int> Run::prompt_tokens() const {
    std::vector<int> tokens;
    if (setup.options.prompt && !setup.options.prompt->empty() && setup.data.tokenizer)
        tokens = setup.data.tokenizer->encode(*setup.options.prompt, Specials::recognised);
    if (tokens.empty())
        tokens.push_back(setup.data.train.separator >= 0 ? setup.data.train.separator
                         : setup.data.tokenizer          ? setup.data.tokenizer->encode("\n").at(0)
                                                         : 0);
    return tokens;
}

std::string Run::text_of(const std::vector<int>& tokens) const {
    if (setup.data.tokenizer) return setup.data.tokenizer->decode(tokens);
    std::string text;
    for (int token : tokens) text += (text.empty() ? "" : " ") + std::to_string(token);
    return text;
}
