#include "plan_command.h"
#include <fmt/core.h>
#include <sstream>
#include "automatic_batch.h"
#include "forecast_command.h"
#include "forecast_svg.h"
#include "host/base/error.h"
#include "host/base/files.h"
#include "host/base/messages.h"
#include "host/base/progress.h"
#include "host/base/terminal.h"
#include "host/options/options_check.h"
#include "plan_text.h"

namespace {

void print_tables(const std::string& text) {
    const bool colour = wants_colour();
    std::istringstream lines(text);
    std::string shown;
    for (std::string line; std::getline(lines, line);) {
        const bool heading = colour && !line.starts_with(" ");
        shown += fmt::format("{}{}{}\n", heading ? "\033[1m" : "", printable(line), heading ? "\033[0m" : "");
    }
    print_piece(shown);
}

Arrange wanted_of(const Options& o, const Config& config) {
    Arrange wanted{config, o.dtype, o.ranks, sequences_of_step(o, config.T), o.memory->count};
    wanted.optimizer = o.optimizer;
    if (o.has("recompute")) wanted.recompute = o.recompute;
    return wanted;
}

void print_forecast(const Options& o, const Config& config) {
    const Training training = training_of(o, config);
    const std::vector<ForecastRow> rows = forecast_rows(training, o.ranks);
    const Forecast& asked = *rows.back().forecast;
    if (!o.svg.empty()) files::replace_output(o.svg, forecast_svg(o.model, rows), "--svg");
    print_tables(plan_text(o.model, asked.plan) + forecast_text(asked, training.capacity, o.train_tokens) +
                 forecast_table(rows, o.train_tokens));
    if (!o.svg.empty()) print_piece(fmt::format("wrote {}: open it in a browser\n", printable(o.svg)));
}

}  // namespace

void run_plan(const Options& o, const Config& config) {
    REQUIRE(o.dtype != Dtype::automatic);
    const std::vector<std::string> wrong = problems(o, config);
    if (!wrong.empty()) throw Error(Exit::usage, wrong);
    if (!o.gpu.empty()) return print_forecast(o, config);
    const Plan plan = o.batch == automatic_batch
                          ? automatic_plan(wanted_of(o, config))
                          : make_plan(config, o.batch, o.dtype, o.recompute, o.ranks, o.optimizer);
    std::string text = plan_text(o.model, plan) + family_text(o.model, plan);
    if (o.batch == automatic_batch) {
        const int sequences = sequences_of_step(o, config.T);
        text += fmt::format("--batch auto\n  {} sequence{} a step{}: {}\n", sequences, sequences == 1 ? "" : "s",
                            o.ranks > 1 ? fmt::format(" on {} ranks", o.ranks) : "", arrangement_text(plan, sequences));
    }
    if (o.memory) text += remedies_text(plan, o.memory->count);
    print_tables(text);
    if (!o.memory || fits(plan, o.memory->count)) return;

    std::string ways;
    for (const Remedy& r : remedies(plan, o.memory->count)) ways += (ways.empty() ? "" : ", or ") + r.flags;
    const Memory& m = plan.memory;
    throw Error(Exit::device, "memory",
                fmt::format("training needs {} of {}", bytes_text(m.total()), bytes_text(o.memory->count)),
                ways.empty() ? fmt::format("weights, gradients and optimiser alone take {}: choose a smaller --model",
                                           bytes_text(m.state()))
                             : "it fits with " + ways);
}
