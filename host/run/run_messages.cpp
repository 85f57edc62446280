#include "run_messages.h"
#include <fmt/core.h>
#include <algorithm>
#include <cmath>
#include <utility>
#include "host/base/error.h"
#include "host/base/messages.h"
#include "host/base/utf8.h"
#include "host/checkpoint/config_json.h"
#include "host/options/flag_table.h"
#include "host/options/model_options.h"
#include "host/plan/gpu_peaks.h"

namespace {
std::string describe(const Config& c) {
    std::string text = fmt::format("{} layers, {} channels, {} heads", c.L, c.C, c.NH);
    if (c.NKV != c.NH) text += fmt::format(" ({} key/value)", c.NKV);
    return text + fmt::format("; {}, {}{}, {}", name_of(c.norm), name_of(c.position),
                              c.position == Position::rope ? "" : " positions", name_of(c.activation));
}

std::string memory_text(const Memory& m) {
    std::string parts;
    for (const auto& [name, bytes] : m.rows())
        if (bytes) parts += fmt::format("{}{} {}B", parts.empty() ? "" : ", ", name, short_count(double(bytes)));
    return fmt::format("{}B: {}", short_count(double(m.total())), parts);
}

// " on 2 ranks in 4 micro-batches each"
std::string shares_text(const RunSetup& run) {
    const int ranks = run.options.ranks, batches = run.sequences / ranks / run.B;
    return (ranks > 1 ? fmt::format(" on {} ranks", ranks) : "") +
           (batches > 1 ? fmt::format(" in {} micro-batches{}", batches, ranks > 1 ? " each" : "") : "") +
           (run.chosen.empty() ? "" : fmt::format(" ({})", run.chosen));
}

// How documents are kept apart.
std::string documents_text(const Dataset& train) {
    std::string text;
    if (train.packing)
        text = fmt::format("{} packed into {} windows, {:.1f}% full", grouped(train.packing->documents()),
                           grouped(train.windows()),
                           100 * double(train.tokens()) / double(train.windows() * uint64_t(train.T)));
    if (train.mask == DocumentMask::on) text += std::string(text.empty() ? "" : "; ") + "attention stays within each";
    return text;
}

double perplexity_gap(double loss, double ideal) { return 100 * (loss / ideal - 1); }
}  // namespace

RunMessages::RunMessages(const RunSetup& run, const LoopState& state, const std::string& directory, Progress& progress)
    : run(run),
      state(state),
      directory(directory),
      progress(progress),
      plan(make_plan(config_at_work(run), run.B, run.options.dtype, run.options.recompute, run.options.ranks,
                     run.options.optimizer)),
      log(directory + "/log.jsonl", state.log_bytes) {
    if (run.options.tensorboard) events = std::make_unique<EventFile>(directory, state.step);
    const double T = run.T;
    flops = {double(plan.training_flops()) / T, double(plan.causal_flops()) / T, double(plan.palm_flops()) / T};
}

void RunMessages::announce(size_t parameters, const std::string& device, const std::string& rate_change) {
    for (const std::string& warning : run.data.warnings) warn(warning);
    std::string what;
    for (const std::string& path : run.options.data) what += (what.empty() ? "" : " ") + path;
    progress.note(
        fmt::format("model   {}: {} parameters; {}", printable(run.name), grouped(parameters), describe(run.config)));
    if (!run.extension.empty()) progress.note("change  " + run.extension);
    progress.note(fmt::format("data    {}: {} tokens to train on, {} to validate; {}vocabulary {}", printable(what),
                              grouped(run.data.train.tokens()), run.data.val ? grouped(run.data.val->tokens()) : "none",
                              run.data.tokenizer ? std::string(name_of(run.data.tokenizer->kind)) + " " : "",
                              run.data.vocab));
    if (const std::string text = documents_text(run.data.train); !text.empty()) progress.note("docs    " + text);
    if (run.data.ideal_loss)
        progress.note(
            fmt::format("ideal   {:.4f}: the loss of a model that knows the corpus's rules; none can do better",
                        *run.data.ideal_loss));
    progress.note(fmt::format("batch   {} sequences of {} = {} tokens a step{}; {} steps = {:.1f} epochs",
                              run.sequences, run.T, grouped(size_t(run.sequences) * run.T), shares_text(run), run.steps,
                              double(run.steps) * run.sequences / double(run.data.train.windows())));
    if (run.options.optimizer == Optimizer::muon)
        progress.note(fmt::format(
            "muon    for the matrices inside blocks, at rates up to {:.3g}; AdamW for the rest, up to {:.3g}",
            muon_lr(run.options, run.config), peak_lr(run.options, run.config)));
    progress.note("memory  " + memory_text(plan.memory));
    progress.note(
        fmt::format("saves   {}B each, in the background: up to {}B of the host's memory while one is written",
                    short_count(double(plan.checkpoint)), short_count(double(plan.copied_by_a_save()))));
    if (const std::string problem = disk_problem(); !problem.empty()) warn(problem);
    progress.note("device  " + device);
    if (const Peaks* peaks = find_peaks(device); peaks && run.options.dtype == Dtype::bf16)
        peak_products = peaks->products * run.options.ranks;
    progress.note("run     " + printable(directory) +
                  (run.resumed ? fmt::format(", resumed at step {}", state.step) : ""));
    if (!rate_change.empty()) progress.note(rate_change);
    if (run.resumed) return write({{"resumed", state.step}, {"steps", run.steps}});
    write({{"run", to_json(run.options)},
           {"model", to_json(run.config)},
           {"parameters", parameters},
           {"ideal_loss", run.data.ideal_loss ? Json(*run.data.ideal_loss) : Json()},
           {"steps", run.steps}});
}

// Of the checkpoints that will be there at a time: those kept, the best, and the one that is being written.
std::string RunMessages::disk_problem() const {
    const int64_t most = int64_t(run.options.keep) + 2,
                  saves = 1 + (run.options.save_every ? (run.steps - state.step) / run.options.save_every : 0);
    const int64_t there = run.resumed ? int64_t(list_checkpoints(directory).size()) : 0;
    const uint64_t to_come = uint64_t(std::max<int64_t>(std::min(saves, most - there), 1)), free = free_on_disk();
    if (free >= to_come * plan.checkpoint) return "";
    return fmt::format(
        "{}: {} checkpoints of {}B are to come, {}B are free on this disk; free some space, choose another "
        "--out, or a lower --keep",
        directory, to_come, short_count(double(plan.checkpoint)), short_count(double(free)));
}

uint64_t RunMessages::free_on_disk() const {
    try {
        return files::free_space(directory);
    } catch (const Error&) { return ~uint64_t(0); }  // it does not say
}

void RunMessages::warn_of_disk() {
    const uint64_t free = free_on_disk();
    if (free >= plan.checkpoint || std::exchange(disk_is_full, true)) return;
    warn(fmt::format("{}: {}B are free on this disk, the next checkpoint takes {}B; free some space: training goes on",
                     directory, short_count(double(free)), short_count(double(plan.checkpoint))));
}

void RunMessages::write(const Json& line) {
    check(log.append(line.dump(-1, ' ', false, Json::error_handler_t::replace)));  // names may not be UTF-8
}

void RunMessages::check(bool written) {
    if (!written && !std::exchange(lost, true))
        warn(directory + ": lines of the log cannot be written; free some space: training goes on without them");
}

std::string RunMessages::status(const StepResult& step) const {
    std::string text =
        fmt::format("{:3.0f}%  step {}/{}  loss {:.4f}", 100.0 * state.step / std::max<int64_t>(run.steps, 1),
                    state.step, run.steps, step.loss);
    if (!std::isnan(state.last_val)) text += fmt::format("  val {:.4f}", state.last_val);
    text += fmt::format("  lr {:.1e}  |g| {:.2f}  {} tok/s", step.lr, step.grad_norm, short_count(tokens_per_second()));
    if (peak_products > 0)
        text += fmt::format("  MFU {:.1f}%", 100 * tokens_per_second() * flops.causal / peak_products);
    else text += fmt::format("  {:.0f} GFLOP/s", tokens_per_second() * flops.all * 1e-9);
    return text + "  ETA " + short_time(double(run.steps - state.step) * average_seconds);
}

void RunMessages::report(const StepResult& step, bool spike) {
    average_seconds = average_seconds == 0 ? step.seconds : 0.95 * average_seconds + 0.05 * step.seconds;
    const bool finite = step.finite();
    auto number = [](double x) { return std::isfinite(x) ? Json(x) : Json(); };
    if (state.due(run.options.log_every) || finished(run, state) || !finite || spike) {
        const double rate = tokens_per_second();
        Json line{{"step", state.step},
                  {"loss", number(step.loss)},
                  {"loss_hex", hex_float(step.loss)},
                  {"lr", step.lr},
                  {"grad_norm", number(step.grad_norm)},
                  {"tokens", state.samples * run.T},
                  {"ms", step.seconds * 1e3},
                  {"tokens_per_s", rate},
                  {"gflops", rate * flops.all * 1e-9}};
        if (run.options.ranks > 1) line["bytes_sent"] = step.bytes_sent;
        if (peak_products > 0)
            line["mfu"] = rate * flops.causal / peak_products, line["mfu_palm"] = rate * flops.palm / peak_products;
        if (!finite || spike) line["left_out"] = spike ? "spike" : "not finite";
        write(line);
        std::vector<Scalar> scalars{{"train/loss", step.loss},
                                    {"train/lr", step.lr},
                                    {"train/grad_norm", step.grad_norm},
                                    {"perf/tokens_per_s", rate}};
        if (peak_products > 0) scalars.push_back({"perf/mfu", rate * flops.causal / peak_products});
        if (events) check(events->add(state.step, scalars));
    }
    if (!finite || spike) report_left_out(step, spike);
    progress.status(status(step),
                    state.due(std::max(run.options.log_every, int(run.steps / 20))) || finished(run, state));
}

void RunMessages::report_left_out(const StepResult& step, bool spike) {
    const std::string where = fmt::format("step {} (training samples {} to {})", state.step,
                                          state.samples - run.sequences, state.samples - 1);
    if (spike)
        return warn(fmt::format("{}: loss {:.4f}, gradient {:.3g} is a spike; the weights stay as they are", where,
                                step.loss, step.grad_norm));
    const std::string first = step.first_not_finite.empty() ? "" : fmt::format(" (first: {})", step.first_not_finite);
    if (state.skipped_in_a_row == 3)
        throw Error(Exit::numeric, where, "loss or gradient is not finite, for the third time in a row" + first,
                    "try a smaller --lr or --clip");
    warn(where + ": loss or gradient is not finite" + first + "; the weights stay as they are");
}

void RunMessages::report_validation(double loss, double seconds) {
    write({{"step", state.step}, {"val_loss", loss}, {"val_loss_hex", hex_float(loss)}, {"ms", seconds * 1e3}});
    const Scalar scalar{"val/loss", loss};
    if (events) check(events->add(state.step, {&scalar, 1}));
}

void RunMessages::report_no_sample() {
    warn(fmt::format("no sample after step {}: the model's logits are not finite", state.step));
}

void RunMessages::report_sample(const std::string& text) {
    progress.note(fmt::format("--- sample after step {} ---\n{}\n---", state.step, text));
    std::string whole = text;
    repair_utf8(whole);
    write({{"step", state.step}, {"sample", whole}});
    if (events) check(events->add_text(state.step, "sample", whole));
}

void RunMessages::finish(bool stopped) {
    const std::string shown = printable(directory), saved = shown + "/" + checkpoint_name(state.step);
    const char* how = stopped ? "stopped" : stops_early(run, state) ? "early stop" : "finished";
    write({{"end", how}, {"at_step", state.step}});
    if (stopped) {
        progress.note(
            fmt::format("stopped: step {}, saved {}; continue with ./train_gpt --resume {}", state.step, saved, shown));
        return;
    }
    if (stops_early(run, state))
        progress.note(
            fmt::format("early stop: no better validation loss than {:.4f} ({}/best) in {} validations; to go on: "
                        "./train_gpt --resume {} --early-stop 0",
                        state.best_val, shown, state.since_best, shown));
    if (run.data.ideal_loss && run.data.val)
        progress.note(fmt::format("validation loss {:.4f}; ideal {:.4f}; {:.1f}% above it", state.last_val,
                                  *run.data.ideal_loss, perplexity_gap(state.last_val, *run.data.ideal_loss)));
    if (!stops_early(run, state))
        progress.note(
            fmt::format("next    ./train_gpt sample --model {}                    write more text\n"
                        "        ./train_gpt --resume {} --steps {}          go on training, at the lowest rate "
                        "(--warmup climbs again)\n"
                        "        ./train_gpt --data YOUR.txt                              train on a text of yours",
                        shown, shown, 2 * run.steps));
    if (state.skipped + state.spikes > 0)
        progress.note(fmt::format("left out {} steps that were not finite, {} spikes", state.skipped, state.spikes));
    progress.note(fmt::format("done: step {}, val loss {:.4f}, saved {}", state.step, state.last_val, saved));
}
