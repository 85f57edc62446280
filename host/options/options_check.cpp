#include "options_check.h"
#include <fmt/core.h>
#include <filesystem>
#include "host/base/error.h"
#include "host/base/messages.h"
#include "host/base/text.h"
#include "model_options.h"

namespace {

const char* const shape_flags[] = {"layers", "dim",      "heads",    "kv-heads",   "head-size",  "ffn",
                                   "norm",   "norm-eps", "position", "rope-pairs", "activation", "qk-norm",
                                   "tied",   "bias",     "qkv-bias", "vocab",      "init"};
// These change what the tokens of a model that has its weights see of each other.
const char* const extension_flags[] = {"rope-theta", "rope-factor", "window", "full-every"};

std::string given_of(const Options& o, const std::vector<std::string>& names) {
    std::string list;
    for (const std::string& n : names)
        if (o.has(n)) list += (list.empty() ? "--" : ", --") + n;
    return list;
}

std::string unknown_model(const std::string& model) {
    std::vector<std::string> names;
    for (const Preset& p : presets()) names.push_back(p.name);
    const std::string meant = nearest(model, names);
    return fmt::format("--model: {} is neither a preset{} nor a directory or file; --help lists the presets",
                       in_quotes(model), meant.empty() ? "" : " (" + meant + "?)");
}

// What tokenize is asked to do must be one thing, and have what it takes.
std::vector<std::string> contradictions_of_tokenize(const Options& o) {
    std::vector<std::string> found;
    auto refuse = [&](bool is_so, const char* why) {
        if (is_so) found.push_back(why);
    };
    const int what = int(o.has("text")) + int(o.has("ids")) + int(o.has("data"));
    refuse(what == 0, "--text: nothing to do; give --text, --ids or --data");
    refuse(what > 1, "--text: contradicts another of --text, --ids and --data; give one of them");
    refuse(what == 1 && o.train_bpe && !o.has("data"), "--train-bpe: learns from --data; name text files");
    refuse(o.train_bpe && o.has("tokenizer"), "--train-bpe: contradicts --tokenizer; one makes what the other reads");
    refuse(!o.train_bpe && !o.has("tokenizer"), "--tokenizer: which one? example: --tokenizer tokenizer.json");
    refuse(o.has("data") && !o.has("out"), "--out: where to? example: --out shards");
    refuse(!o.train_bpe && (o.has("split") || o.has("min-frequency") || o.has("special-tokens")),
           "--train-bpe: is missing; --split, --min-frequency and --special-tokens say how to train");
    return found;
}

// What the flags of a command contradict, a line each, in groups that belong together.
struct Contradictions {
    const Options& o;
    std::vector<std::string> lines;

    explicit Contradictions(const Options& options) : o(options) {}
    void refuse(bool is_so, const std::string& why) {
        if (is_so) lines.push_back(why);
    }
    void both(const char* a, const char* b, const char* why) {
        refuse(o.has(a) && o.has(b), fmt::format("--{}: contradicts --{}; {}", a, b, why));
    }

    // Of the commands that use a model with its weights.
    void of_trained_model() {
        refuse(o.model.empty(),
               fmt::format("--model: {} needs a trained model; example: --model runs/tiny-1/best", name_of(o.command)));
        refuse(is_preset(o),
               fmt::format("--model: {} is a preset and has no weights; give a directory, a preset of that name can be "
                           "trained with: train_gpt --model {}",
                           o.model, o.model));
        both("prompt", "prompt-file", "prompts come from one or the other");
        both("interactive", "prompt", "it asks for prompts");
        both("interactive", "prompt-file", "it asks for prompts");
    }
    // Of those that begin with a preset or a directory.
    void of_model_name() {
        std::error_code ignored;
        const bool is_path = o.model.find('/') != std::string::npos || std::filesystem::exists(o.model, ignored);
        refuse(o.has("model") && !is_preset(o) && !is_path, unknown_model(o.model));  // a resumed run's may have moved
    }
    void of_eval() {
        refuse(o.data.empty() && o.multiple_choice.empty(),
               "--data: nothing to score; give --data or --multiple-choice");
        refuse(!o.answers.empty() && o.multiple_choice.empty(),
               "--answers: there are no questions; give --multiple-choice");
        refuse(o.context && o.stride && *o.stride > *o.context,
               fmt::format("--stride: {} is more than --context {}: some tokens would never count",
                           o.stride.value_or(0), o.context.value_or(0)));
    }
    void of_export() {
        refuse(o.gguf.empty(), "--gguf: where to? example: --gguf model.gguf");
        refuse(o.tokenizer == "none" && o.pattern, "--pattern: there is no tokenizer to cut text; leave it out");
    }
    void of_pairs() {
        both("resume", "overwrite", "one continues the run, the other throws it away");
        both("resume", "out", "a resumed run goes on in its own directory: --resume DIR");
        both("resume", "from-scratch", "a resumed run has its weights");
        both("epochs", "steps", "either says how long to train");
        both("val", "val-fraction", "validation data come from one or the other");
    }
    // A model that comes with weights, or that a run has, keeps its shape.
    void of_shape() {
        std::vector<std::string> shapes(std::begin(shape_flags), std::end(shape_flags));
        refuse(!o.resume && loads_weights(o) && !given_of(o, shapes).empty(),
               fmt::format("--model: the weights in {} have the sizes they have; leave out {}, or add --from-scratch",
                           printable(o.model), given_of(o, shapes)));
        shapes.insert(shapes.end(), std::begin(extension_flags), std::end(extension_flags));
        shapes.push_back("model");
        refuse(o.resume && !given_of(o, shapes).empty(),
               fmt::format("--resume: a run keeps its model; leave out {}", given_of(o, shapes)));
        refuse(o.from_scratch && is_preset(o),
               fmt::format(
                   "--from-scratch: the preset {} starts from random weights anyway; leave it out, or give a directory",
                   o.model));
    }
    void of_plan() {
        const bool automatic = o.has("batch") && o.batch == automatic_batch;
        refuse(automatic && o.gpu.empty() && !o.memory,
               "--batch: auto, in how much memory? example: --memory 24GiB, or --gpu H100");
        refuse(o.has("total-batch") && o.gpu.empty() && !automatic,
               "--total-batch: is shared out by --batch auto, or a forecast; give one of --batch auto and --gpu");
        for (const char* flag : {"nodes", "link", "tokens", "measured", "svg"})
            refuse(o.has(flag) && o.gpu.empty(),
                   fmt::format("--{}: is of a forecast; on which GPUs? example: --gpu H100", flag));
        if (o.gpu.empty()) return;
        refuse(o.optimizer == Optimizer::muon, "--optimizer: forecasts know AdamW's step only; leave it out");
        refuse(o.has("dtype") && o.dtype == Dtype::fp32,
               "--dtype: the rates of kernels that forecasts use were measured in bf16; leave it out");
        refuse(o.ranks % o.nodes != 0, fmt::format("--nodes: {} do not divide --ranks {}; give --ranks {}", o.nodes,
                                                   o.ranks, (o.ranks + o.nodes - 1) / o.nodes * o.nodes));
        refuse(o.nodes > 1 && !o.link, "--link: is missing; how fast are the nodes connected? example: --link 400Gb/s");
        refuse(o.nodes == 1 && o.link, "--link: is between nodes, and there is one; give --nodes, or leave it out");
    }
    void of_optimizer() {
        const bool muon = o.optimizer == Optimizer::muon;
        for (const char* flag : {"muon-lr", "muon-momentum", "muon-scale"})
            refuse(!muon && o.has(flag),
                   fmt::format("--{}: nothing is stepped by Muon; leave it out, or add --optimizer muon", flag));
        refuse(muon && o.ranks > 1,
               fmt::format("--optimizer: muon steps whole matrices, and of {} ranks each has parts of them; leave it "
                           "out, or train on one rank",
                           o.ranks));
    }
    void of_training() {
        refuse(o.min_lr && o.lr && *o.min_lr > *o.lr,
               fmt::format("--min-lr: {} is above --lr {}; example: --min-lr {:g}", o.min_lr.value_or(0),
                           o.lr.value_or(0), o.lr.value_or(0) / 10));
        refuse(
            o.device == DeviceKind::cpu && o.dtype == Dtype::bf16 && o.has("dtype"),  // a resumed run has no choice
            "--dtype: the CPU's layers compute in fp32; leave out bf16, or run the GPU's kernels slowly with --device "
            "simt");
        refuse(o.device == DeviceKind::cpu && o.profile_steps,
               "--profile-steps: a CUDA profiler sees nothing of --device cpu; leave it out");
        refuse(o.has("spike-factor") && o.spike_window == 0,
               "--spike-factor: there are no steps to compare with; give --spike-window");
        refuse(o.spike_window == 1, "--spike-window: one step has no spread; give at least 2");
        refuse(o.early_stop > 0 && o.eval_every == 0,
               "--early-stop: there are no validations to count; give --eval-every");
        refuse(!o.epochs && o.warmup && *o.warmup > o.steps,
               fmt::format("--warmup: {} steps are more than --steps {}; example: --warmup {}", o.warmup.value_or(0),
                           o.steps, o.steps / 20));
    }
};

}  // namespace

std::vector<std::string> contradictions(const Options& o, Known known) {
    if (o.command == Command::tokenize) return contradictions_of_tokenize(o);
    if (o.command == Command::plot || o.command == Command::report || o.command == Command::watch) return {};
    Contradictions found(o);
    const bool exports = o.command == Command::export_model;
    if (o.command == Command::sample || o.command == Command::eval || exports) found.of_trained_model();
    else found.of_model_name();
    if (o.command == Command::eval) found.of_eval();
    if (exports) found.of_export();
    found.of_pairs();
    found.of_shape();
    if (o.command == Command::plan) found.of_plan();
    if ((o.command == Command::train || o.command == Command::plan) && known == Known::all) found.of_optimizer();
    if (o.command == Command::train && known == Known::all) found.of_training();
    return found.lines;
}

namespace {

// "nearest: 64 or 128", of multiples of `unit`.
std::string nearest_multiples(int64_t n, int64_t unit) {
    const int64_t below = n / unit * unit;
    return fmt::format("nearest: {}{}", below ? fmt::format("{} or ", below) : "", below + unit);
}

// Tokens of a step.
int64_t tokens_of(const Options& o, int64_t T) {
    return o.total_batch.value_or((o.batch == automatic_batch ? usual_batch : o.batch) * T);
}

std::string problem_of_total_batch(const Options& o, const Config& c) {
    const int64_t micro = int64_t(o.batch) * o.context.value_or(c.T), total = o.total_batch.value_or(micro);
    if (total % micro == 0) return "";
    return fmt::format("--total-batch: {} is not a multiple of --batch {} times --context {}; {}", total, o.batch,
                       o.context.value_or(c.T), nearest_multiples(total, micro));
}

std::string problem_of_ranks(const Options& o, const Config& c) {
    const int64_t T = o.context.value_or(c.T), total = tokens_of(o, T), sequences = total / T;
    if (total % T != 0)
        return fmt::format("--total-batch: {} is not a multiple of --context {}; {}", total, T,
                           nearest_multiples(total, T));
    if (sequences % o.ranks == 0) return "";
    const std::string step = fmt::format("the {} sequence{} of a step", sequences, sequences == 1 ? "" : "s");
    if (sequences < o.ranks)
        return fmt::format("--ranks: {} are more than {}; give --ranks {}, or --total-batch {}", o.ranks, step,
                           sequences, o.ranks * T);
    int64_t fewer = o.ranks, more = o.ranks;
    while (sequences % fewer != 0) fewer--;
    while (sequences % more != 0) more++;
    return fmt::format(
        "--ranks: {} do not divide {}; nearest: {} or {} ranks, or --total-batch {} (nearest of {} ranks)", o.ranks,
        step, fewer, more, (sequences + o.ranks - 1) / o.ranks * o.ranks * T, o.ranks);
}

}  // namespace

std::vector<std::string> problems(const Options& o, const Config& c) {
    std::vector<std::string> found;
    auto ask = [&](int batch, const std::vector<std::string>& causes) {
        const std::string cause = given_of(o, causes);
        for (const std::string& why : problems(c, batch))
            found.push_back("model: " + why + (cause.empty() ? "; choose another --model" : "; change " + cause));
    };
    ask(1, {"context", "layers", "dim", "heads", "kv-heads", "head-size", "ffn", "vocab", "rope-theta", "rope-factor",
            "norm-eps", "window", "full-every"});
    const bool trains = o.command == Command::train || o.command == Command::plan;
    if (found.empty() && trains) ask(std::max(o.batch, 1), {"batch", "context"});
    if (!found.empty()) return found;

    auto refuse = [&](bool is_so, const std::string& why) {
        if (is_so) found.push_back(why);
    };
    refuse((o.dim || o.heads) && !o.head_size && c.C % c.NH != 0,
           fmt::format(
               "--heads: {} heads do not divide the width {}; choose another --dim or --heads, or give --head-size",
               c.NH, c.C));
    refuse(o.context.value_or(1) > c.T,
           fmt::format("--context: {} is beyond the model's {}, where its {} positions end; leave it out",
                       o.context.value_or(0), c.T, name_of(c.position)));
    const std::string of_rope = given_of(o, {"rope-pairs", "rope-theta", "rope-factor"});
    refuse(!of_rope.empty() && c.position != Position::rope,
           fmt::format("{}: the positions are {}; {}", of_rope, name_of(c.position),
                       loads_weights(o) ? "leave it out" : "add --position rope"));
    if (o.command == Command::plan && o.total_batch)
        if (const std::string why = problem_of_ranks(o, c); !why.empty()) found.push_back(why);
    if (o.command != Command::train) return found;

    const double peak = peak_lr(o, c);
    refuse(o.has("min-lr") && !o.lr && !o.resume && *o.min_lr > peak,  // a resumed run's width is not known yet
           fmt::format("--min-lr: {} is above the highest rate {:g} (0.384 / dim); give --lr, or --min-lr {:g}",
                       o.min_lr.value_or(0), peak, peak / 10));
    const bool any_batch = o.ranks > 1 || o.batch == automatic_batch;  // that divides a rank's share
    const std::string of_batch = any_batch ? problem_of_ranks(o, c) : problem_of_total_batch(o, c);
    if (!of_batch.empty()) found.push_back(of_batch);
    return found;
}

int sequences_of_step(const Options& o, int T) { return int(tokens_of(o, T) / T); }

int micro_batch(const Options& o, int sequences) {
    REQUIRE(o.batch != automatic_batch);
    return o.ranks == 1 ? o.batch : micro_batch(sequences / o.ranks, o.batch);
}

int micro_batch(int share, int most) {
    most = std::min(most, share);
    while (share % most != 0) most--;
    return most;
}
