#include "run_setup.h"
#include <fmt/core.h>
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include "host/base/error.h"
#include "host/base/messages.h"
#include "host/checkpoint/config_json.h"
#include "host/checkpoint/model_files.h"
#include "host/data/data_paths.h"
#include "host/generate/prompts.h"
#include "host/options/model_options.h"
#include "host/options/options_check.h"
#include "host/plan/automatic_batch.h"
#include "host/tokenizer/load_tokenizer.h"

namespace {

// Weights that are there already know a fixed number of tokens.
bool has_weights(const RunSetup& run) { return run.resumed || !run.source.empty(); }

// Of a directory whose weights are not wanted: where it has a tokenizer, or the data are tokens already.
bool takes_vocabulary(const Options& options, const std::string& directory) {
    if (options.has("tokenizer")) return false;
    return has_tokenizer(directory) || std::all_of(options.data.begin(), options.data.end(), is_shard);
}

void require_dropout(const RunSetup& run, const ModelDescription& model, const std::string& path) {
    if (run.options.dropout || model.dropout_problem.empty()) return;
    throw Error(Exit::input, path + "/config.json", model.dropout_problem,
                fmt::format("give it: --dropout {:g}", model.config.dropout));
}

// A preset, a directory, or what a resumed run had.
void choose_model(RunSetup& run) {
    const Options& options = run.options;
    run.name = options.model;
    if (const Config* preset = find_preset(options.model); preset && !run.resumed) {
        run.config = model_config(options, *preset);
        return;
    }
    const std::string path = run.resumed ? run.resumed->path : model_directory(options.model);
    const ModelDescription description = read_model_description(path);
    run.config = model_config(options, description.config);
    run.special = description.special;
    run.data.warnings = description.warnings;
    const bool takes_tokenizer = run.resumed || !options.has("tokenizer");
    if (run.resumed || !options.from_scratch)
        run.companions = companion_files(path, takes_tokenizer ? Companions::all : Companions::no_tokenizer);
    if (run.resumed) return;
    require_dropout(run, description, path);
    run.name = std::filesystem::path(options.model).lexically_normal().filename().string();
    if (run.name.empty()) run.name = "model";
    if (!options.from_scratch) run.source = path, run.extension = extension_text(description.config, run.config);
    else if (takes_vocabulary(options, path)) run.vocabulary = path;
    if (!run.vocabulary.empty()) run.companions = companion_files(path, Companions::tokenizer);
    else if (options.from_scratch) run.special = {};
}

// The model's own tokenizer, if it has one and the flags do not name another; else that of the flags.
void choose_tokenizer(DataOptions& how, const RunSetup& run) {
    const Options& options = run.options;
    const std::string own = run.resumed                ? run.resumed->path
                            : options.has("tokenizer") ? ""
                            : !run.vocabulary.empty()  ? run.vocabulary
                                                       : run.source;
    how.may_train_tokenizer = own.empty();
    if (has_tokenizer(own)) how.tokenizer = load_tokenizer(own, options.pattern);
    else if (const auto kind = from_name<TokenizerKind>(options.tokenizer)) how.kind = *kind;
    else if (!options.tokenizer.empty()) how.tokenizer = load_tokenizer(options.tokenizer, options.pattern);
}

DataOptions data_options(const RunSetup& run) {
    const Options& options = run.options;
    DataOptions how;
    how.data = options.data;
    how.val = options.val;
    how.val_fraction = options.val_fraction;
    how.seed = options.seed;
    how.T = run.T;
    how.mask = !options.doc_mask ? DocumentMask::where_known : *options.doc_mask ? DocumentMask::on : DocumentMask::off;
    how.pack = options.pack;
    how.vocab = has_weights(run)          ? run.config.V
                : !run.vocabulary.empty() ? options.vocab.value_or(run.config.V)
                                          : options.vocab.value_or(0);
    how.token_type = options.token_type;
    how.reading = reading_of(options);
    if (!run.special.eos.empty()) how.separator = run.special.eos[0];
    choose_tokenizer(how, run);
    return how;
}

void read_data(RunSetup& run, Progress& progress) {
    run.T = run.options.context.value_or(run.config.T);
    std::vector<std::string> warnings = run.data.warnings;
    run.data = load_data(data_options(run), [&](const std::string& what, uint64_t done, uint64_t total) {
        if (progress.on_terminal())
            progress.status(fmt::format("{}  {:.0f}%", what, 100.0 * done / std::max<uint64_t>(total, 1)), false);
    });
    run.data.warnings.insert(run.data.warnings.begin(), warnings.begin(), warnings.end());
}

// A model without weights takes its vocabulary, its end of text and its context from the data.
void fit_model_to_data(RunSetup& run) {
    if (has_weights(run)) return;
    run.config.V = run.data.vocab;
    run.config.T = run.T;
    const int separator = run.data.train.separator;
    if (separator >= 0 && run.special.eos.empty()) run.special = {.bos = separator, .pad = -1, .eos = {separator}};
}

void require_possible(const RunSetup& run) {
    const std::vector<std::string> wrong = problems(run.options, run.config);
    if (!wrong.empty()) throw Error(Exit::usage, wrong);
}

// What --batch auto stands for becomes the run's, as if it had been given.
void choose_batch(RunSetup& run, const AvailableMemory& memory) {
    Options& o = run.options;
    if (o.batch != automatic_batch) return;
    const MemoryOfRank free = memory();
    const Config config = config_at_work(run);
    Arrange wanted{.config = config,
                   .dtype = o.dtype,
                   .ranks = o.ranks,
                   .sequences = sequences_of_step(o, run.T),
                   .bytes = free.bytes,
                   .optimizer = o.optimizer};
    if (free.host) {  // it also holds what a save copies
        const Plan any = make_plan(config, 1, o.dtype, o.recompute, o.ranks, o.optimizer);
        wanted.bytes -= std::min(wanted.bytes, any.copied_by_a_save());
    }
    if (o.has("recompute")) wanted.recompute = o.recompute;
    const Plan plan = automatic_plan(wanted);
    o.total_batch = int64_t(wanted.sequences) * run.T;
    o.batch = plan.batch, o.recompute = plan.recompute;
    run.chosen = fmt::format("--batch auto: {}, in {}B that are free", arrangement_text(plan, plan.batch * o.ranks),
                             short_count(double(wanted.bytes)));
}

void count_steps(RunSetup& run) {
    const Options& options = run.options;
    run.sequences = sequences_of_step(options, run.T);
    run.B = micro_batch(options, run.sequences);
    run.steps = steps_of(options, run);
    if (options.epochs && options.warmup && *options.warmup > run.steps)
        throw Error(
            Exit::usage, "--warmup",
            fmt::format("{} steps are more than the {} of --epochs {:g}", *options.warmup, run.steps, *options.epochs),
            fmt::format("example: --warmup {}", run.steps / 20));
}

void require_same_run(const RunSetup& run) {
    if (!run.resumed) return;
    std::string changed;
    Json then = run.resumed->run, now = fingerprint_of(run);
    if (!then.contains("shards")) now.erase("shards");  // it was saved before they were hashed as a whole
    if (!then.contains("optimizer")) then["optimizer"] = name_of(Optimizer::adamw);  // and when there was no other
    for (const std::string& line : differences(then, now)) changed += (changed.empty() ? "" : "; ") + line;
    if (!changed.empty())
        throw Error(Exit::usage, printable(*run.options.resume), "this is not the run that was saved (" + changed + ")",
                    "resume with the same flags and data");
}

}  // namespace

RunSetup set_up_run(const Options& options, const std::optional<Checkpoint>& resumed, Progress& progress,
                    const AvailableMemory& memory) {
    RunSetup run;
    run.options = options;
    run.resumed = resumed;
    choose_model(run);
    read_data(run, progress);
    fit_model_to_data(run);
    require_possible(run);
    choose_batch(run, memory);
    count_steps(run);
    require_same_run(run);
    if (const auto& prompt = run.options.prompt; prompt && run.data.tokenizer)
        run.prompt = prompt_tokens(*run.data.tokenizer, before_prompt(*run.data.tokenizer, run.special, {}), *prompt);
    return run;
}

int64_t steps_of(const Options& options, const RunSetup& run) {
    const double windows = double(run.data.train.windows());
    const double steps = options.epochs ? std::ceil(*options.epochs * windows / run.sequences) : options.steps;
    constexpr int most = std::numeric_limits<int>::max();
    if (steps > most)
        throw Error(Exit::usage, "--epochs",
                    fmt::format("{:g} passes over {:g} sequences are {:.0f} steps, more than {}", *options.epochs,
                                windows, steps, most),
                    fmt::format("example: --epochs {:g}", std::floor(most / windows * run.sequences)));
    return int64_t(steps);
}

Config config_at_work(const RunSetup& run) {
    Config config = run.config;
    config.T = run.T;
    return config;
}

Json fingerprint_of(const RunSetup& run) {
    Json facts{{"model", to_json(run.config)},
               {"tokenizer", run.data.tokenizer ? files::hex(run.data.tokenizer->hash()) : "none"},
               {"data", files::hex(run.data.fingerprint)},
               {"seed", run.options.seed},
               {"sequences", run.sequences},
               {"context", run.T},
               {"doc_mask", run.data.train.mask == DocumentMask::on},
               {"dtype", name_of(run.options.dtype)},
               {"optimizer", name_of(run.options.optimizer)}};
    if (run.options.pack) facts["pack"] = true;
    if (run.data.shards_hash) facts["shards"] = files::hex(run.data.shards_hash);
    return facts;
}

bool stops_early(const RunSetup& run, const LoopState& state) {
    return run.options.early_stop > 0 && state.since_best >= run.options.early_stop;
}

bool finished(const RunSetup& run, const LoopState& state) {
    return state.step >= run.steps || stops_early(run, state);
}
