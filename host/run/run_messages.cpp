// What a run says: to a person on stdout, to programs in log.jsonl.
#include <fmt/core.h>
#include <cmath>
#include "host/base/utf8.h"
#include "host/checkpoint/config_json.h"
#include "host/options/flag_table.h"
#include "host/plan/gpu_peaks.h"
#include "host/plan/plan.h"
#include "run.h"

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

double perplexity_gap(double loss, double ideal) { return 100 * (loss / ideal - 1); }
}  // namespace

void Run::announce(size_t parameters, const std::string& device) {
    for (const std::string& warning : data.warnings) fmt::print(stderr, "warning: {}\n", warning);
    std::string what;
    for (const std::string& path : options.data) what += (what.empty() ? "" : " ") + path;
    progress.note(fmt::format("model   {}: {} parameters; {}", name, grouped(parameters), describe(config)));
    progress.note(fmt::format("data    {}: {} tokens to train on, {} to validate; {}vocabulary {}", what,
                              grouped(data.train.tokens()), data.val ? grouped(data.val->tokens()) : "none",
                              data.tokenizer ? std::string(name_of(data.tokenizer->kind)) + " " : "", data.vocab));
    if (data.ideal_loss)
        progress.note(fmt::format(
            "ideal   {:.4f}: the loss of a model that knows the corpus's rules; none can do better", *data.ideal_loss));
    progress.note(fmt::format("batch   {} sequences of {} = {} tokens a step{}; {} steps = {:.1f} epochs", sequences, T,
                              grouped(size_t(sequences) * T),
                              sequences > B ? fmt::format(" in {} micro-batches", sequences / B) : "", steps,
                              double(steps) * sequences / double(data.train.windows())));
    progress.note("memory  " + memory_text(make_plan(config, B, options.dtype, options.recompute).memory));
    progress.note("device  " + device);
    if (const Peaks* peaks = find_peaks(device); peaks && options.dtype == Dtype::bf16) peak_products = peaks->products;
    progress.note("run     " + directory + (resumed ? fmt::format(", resumed at step {}", state.step) : ""));
    if (resumed) return;
    log->append(Json{{"run", to_json(options)},
                     {"model", to_json(config)},
                     {"parameters", parameters},
                     {"ideal_loss", data.ideal_loss ? Json(*data.ideal_loss) : Json()}}
                    .dump());
}

std::string Run::status(const StepResult& step) const {
    std::string text = fmt::format("{:3.0f}%  step {}/{}  loss {:.4f}",
                                   100.0 * state.step / std::max<int64_t>(steps, 1), state.step, steps, step.loss);
    if (!std::isnan(state.last_val)) text += fmt::format("  val {:.4f}", state.last_val);
    text += fmt::format("  lr {:.1e}  |g| {:.2f}  {} tok/s", step.lr, step.grad_norm, short_count(tokens_per_second()));
    if (peak_products > 0)
        text += fmt::format("  MFU {:.1f}%", 100 * tokens_per_second() * flops.causal / peak_products);
    else text += fmt::format("  {:.0f} GFLOP/s", tokens_per_second() * flops.all * 1e-9);
    return text + "  ETA " + short_time(double(steps - state.step) * average_seconds);
}

void Run::report(const StepResult& step) {
    state.step++;
    state.samples += sequences;
    average_seconds = average_seconds == 0 ? step.seconds : 0.95 * average_seconds + 0.05 * step.seconds;
    const bool finite = std::isfinite(step.loss) && std::isfinite(step.grad_norm);
    state.skipped_in_a_row = finite ? 0 : state.skipped_in_a_row + 1;
    state.skipped += !finite;
    auto number = [](double x) { return std::isfinite(x) ? Json(x) : Json(); };
    if (due(options.log_every) || finished() || !finite) {
        const double rate = tokens_per_second();
        Json line{{"step", state.step},
                  {"loss", number(step.loss)},
                  {"loss_hex", hex_float(step.loss)},
                  {"lr", step.lr},
                  {"grad_norm", number(step.grad_norm)},
                  {"tokens", state.samples * T},
                  {"ms", step.seconds * 1e3},
                  {"tokens_per_s", rate},
                  {"gflops", rate * flops.all * 1e-9}};
        if (peak_products > 0)
            line["mfu"] = rate * flops.causal / peak_products, line["mfu_palm"] = rate * flops.palm / peak_products;
        log->append(line.dump());
        std::vector<Scalar> scalars{{"train/loss", step.loss},
                                    {"train/lr", step.lr},
                                    {"train/grad_norm", step.grad_norm},
                                    {"perf/tokens_per_s", rate}};
        if (peak_products > 0) scalars.push_back({"perf/mfu", rate * flops.causal / peak_products});
        if (events) events->add(state.step, scalars);
    }
    if (!finite) {
        const std::string where = fmt::format("step {} (training samples {} to {})", state.step,
                                              state.samples - sequences, state.samples - 1);
        if (state.skipped_in_a_row == 3)
            throw Error(Exit::numeric, where, "loss or gradient is not finite, for the third time in a row",
                        "try a smaller --lr or --clip");
        fmt::print(stderr, "warning: {}: loss or gradient is not finite; the weights stay as they are\n", where);
    }
    progress.status(status(step), due(std::max(options.log_every, int(steps / 20))) || finished());
}

bool Run::report_validation(double loss, double seconds) {
    const bool best = loss < state.best_val;
    state.last_val = loss;
    if (best) state.best_val = loss;
    if (best) state.since_best = 0;
    else if (!finished()) state.since_best++;  // the last, of all the data, counts for nothing
    log->append(Json{{"step", state.step}, {"val_loss", loss}, {"val_loss_hex", hex_float(loss)}, {"ms", seconds * 1e3}}
                    .dump());
    const Scalar scalar{"val/loss", loss};
    if (events) events->add(state.step, {&scalar, 1});
    return best;
}

void Run::report_no_sample() {
    fmt::print(stderr, "warning: no sample after step {}: the model's logits are not finite\n", state.step);
}

void Run::report_sample(const std::string& text) {
    progress.note(fmt::format("--- sample after step {} ---\n{}\n---", state.step, text));
    std::string whole = text;
    repair_utf8(whole);
    log->append(Json{{"step", state.step}, {"sample", whole}}.dump());
    if (events) events->add_text(state.step, "sample", whole);
}

void Run::finish(bool stopped) {
    const std::string saved = fmt::format("{}/{}", directory, checkpoint_name(state.step));
    if (save_error) throw Error(*save_error);
    if (stopped) {
        progress.note(fmt::format("stopped: step {}, saved {}; continue with ./train_gpt --resume {}", state.step,
                                  saved, directory));
        return;
    }
    if (stops_early())
        progress.note(
            fmt::format("early stop: no better validation loss than {:.4f} ({}/best) in {} validations; to go on: "
                        "./train_gpt --resume {} --early-stop 0",
                        state.best_val, directory, state.since_best, directory));
    if (data.ideal_loss && data.val)
        progress.note(fmt::format("validation loss {:.4f}; ideal {:.4f}; {:.1f}% above it", state.last_val,
                                  *data.ideal_loss, perplexity_gap(state.last_val, *data.ideal_loss)));
    if (!stops_early())
        progress.note(
            fmt::format("next    ./train_gpt sample --model {}                    write more text\n"
                        "        ./train_gpt --resume {} --steps {}          go on training\n"
                        "        ./train_gpt --data YOUR.txt                              train on a text of yours",
                        directory, directory, 2 * steps));
    progress.note(fmt::format("done: step {}, val loss {:.4f}, saved {}", state.step, state.last_val, saved));
}

std::vector<int> Run::prompt_tokens() const {
    std::vector<int> tokens;
    if (options.prompt && !options.prompt->empty() && data.tokenizer)
        tokens = data.tokenizer->encode(*options.prompt, Specials::recognised);
    if (tokens.empty())
        tokens.push_back(data.train.separator >= 0 ? data.train.separator
                         : data.tokenizer          ? data.tokenizer->encode("\n").at(0)
                                                   : 0);
    return tokens;
}

std::string Run::text_of(const std::vector<int>& tokens) const {
    if (data.tokenizer) return data.tokenizer->decode(tokens);
    std::string text;
    for (int token : tokens) text += (text.empty() ? "" : " ") + std::to_string(token);
    return text;
}
