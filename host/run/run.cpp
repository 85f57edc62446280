#include "run.h"
#include <fmt/core.h>
#include <cmath>
#include <filesystem>
#include "host/checkpoint/config_json.h"
#include "host/checkpoint/model_files.h"
#include "host/options/flag_table.h"
#include "host/options/model_options.h"
#include "host/options/options_check.h"
#include "host/plan/plan.h"
#include "host/tokenizer/load_tokenizer.h"
#include "host/tokenizer/tokenizer_json.h"

Run::Run(Options given) : options(std::move(given)) {
    if (options.resume) resume();
    choose_model();
    load();
    if (!options.resume) open_directory();
    if (options.tensorboard) events = std::make_unique<EventFile>(directory, state.step);
    log = std::make_unique<files::Log>(directory + "/log.jsonl", state.log_bytes);
}

void Run::choose_model() {
    Config base;
    name = options.model;
    if (resumed) {
        const ModelDescription description = read_model_description(resumed->path);
        base = description.config;
        special = description.special;
    } else if (const Config* preset = find_preset(options.model)) {
        base = *preset;
    } else {
        const std::string path = model_directory(options.model);
        const ModelDescription description = read_model_description(path);
        base = description.config;
        special = description.special;
        name = std::filesystem::path(options.model).lexically_normal().filename().string();
        if (name.empty()) name = "model";
        if (!options.from_scratch) source = path;
    }
    config = model_config(options, base);
}

void Run::load() {
    const bool fixed_vocabulary = resumed || !source.empty();
    DataOptions how;
    how.data = options.data;
    how.val = options.val;
    how.val_fraction = options.val_fraction;
    how.seed = options.seed;
    T = how.T = options.context.value_or(config.T);
    how.mask = options.doc_mask ? DocumentMask::on : DocumentMask::off;
    how.vocab = fixed_vocabulary ? config.V : options.vocab.value_or(0);
    how.token_type = options.token_type;
    if (!special.eos.empty()) how.separator = special.eos[0];
    const std::string own = resumed ? resumed->path : options.has("tokenizer") ? "" : source;  // the model's
    if (!own.empty() && (files::exists(own + "/tokenizer.json") || files::exists(own + "/vocab.json")))
        how.tokenizer = load_tokenizer(own);
    else if (const auto kind = from_name<TokenizerKind>(options.tokenizer)) how.kind = *kind;
    else if (!options.tokenizer.empty()) how.tokenizer = load_tokenizer(options.tokenizer);
    data = load_data(how, [this](const std::string& what, uint64_t done, uint64_t total) {
        if (progress.on_terminal())
            progress.status(fmt::format("{}  {:.0f}%", what, 100.0 * done / std::max<uint64_t>(total, 1)), false);
    });
    if (!fixed_vocabulary) {
        config.V = data.vocab;
        if (data.train.separator >= 0)
            special = {.bos = data.train.separator, .pad = -1, .eos = {data.train.separator}};
    }
    if (source.empty() && !resumed) config.T = T;

    std::string all;
    for (const std::string& problem : problems(options, config)) all += (all.empty() ? "" : "\nerror: ") + problem;
    if (!all.empty()) throw Error(Exit::usage, "model", all);
    B = options.batch;
    sequences = options.total_batch ? int(*options.total_batch / T) : B;
    steps =
        options.epochs ? int64_t(std::ceil(*options.epochs * double(data.train.windows()) / sequences)) : options.steps;
    const Plan plan = make_plan(config, B, options.dtype, options.recompute);
    flops = {double(plan.training_flops()) / config.T, double(plan.causal_flops()) / config.T,
             double(plan.palm_flops()) / config.T};
    if (!resumed) return;
    std::string changed;
    for (const std::string& line : differences(resumed->run, fingerprint()))
        changed += (changed.empty() ? "" : "; ") + line;
    if (!changed.empty())
        throw Error(Exit::usage, directory, "this is not the run that was saved (" + changed + ")",
                    "resume with the same flags and data");
}

// What must be the same for a resumed run to be the run it was.
Json Run::fingerprint() const {
    return {{"model", to_json(config)},
            {"tokenizer", data.tokenizer ? files::hex(data.tokenizer->hash()) : "none"},
            {"data", files::hex(data.fingerprint)},
            {"seed", options.seed},
            {"sequences", sequences},
            {"context", T},
            {"doc_mask", options.doc_mask},
            {"dtype", name_of(options.dtype)}};
}

bool Run::pauses_after(int64_t step) const {
    const auto due = [=](int every) { return every > 0 && step % every == 0; };
    const auto& window = options.profile_steps;
    const bool profiler = window && (step + 1 == window->first || step == window->last);
    return step >= steps || profiler || due(options.eval_every) || due(options.save_every) || due(options.sample_every);
}

AdamwStep Run::adamw(int64_t step) const {
    const double peak = peak_lr(options, config);
    const LearningRate rate{peak, std::min(peak, options.min_lr.value_or(peak / 10)),
                            options.warmup.value_or(int(steps / 20)), int(steps), options.schedule};
    return {.lr = float(rate.at(int(step))),
            .beta1 = float(options.beta1),
            .beta2 = float(options.beta2),
            .eps = float(options.eps),
            .clip = float(options.clip),
            .correction1 = float(1 - std::pow(options.beta1, step + 1)),
            .correction2 = float(1 - std::pow(options.beta2, step + 1))};
}

void Run::save(const Layout& layout, const GetRow& weights, const std::vector<NamedRows>& optimizer, bool best) {
    if (saved_step != state.step) {
        state.log_bytes = log->size();
        CheckpointContents contents;
        contents.step = state.step;
        contents.model = {config, special,
                          options.dtype == Dtype::bf16 ? safetensors::Dtype::BF16 : safetensors::Dtype::F32};
        contents.layout = &layout;
        contents.weights = weights;
        contents.optimizer = optimizer;
        contents.state = {{"loop", to_json(state)}, {"options", to_json(options)}};
        contents.run = fingerprint();
        if (data.tokenizer) {
            contents.texts.emplace_back("tokenizer.json", tokenizer_json(*data.tokenizer));
            contents.texts.emplace_back("tokenizer_config.json", tokenizer_config_json(*data.tokenizer));
        }
        try {
            save_checkpoint(directory, contents);
            saved_step = state.step;
            failed_saves = 0;
            save_error.reset();
        } catch (const Error& error) {
            if (error.code != Exit::io || ++failed_saves == 3) throw;
            save_error = error;
            fmt::print(stderr, "warning: {}; training goes on\n", error.what());
            return;
        }
    }
    if (best) mark_best(directory, state.step);
    prune_checkpoints(directory, options.keep);
}
