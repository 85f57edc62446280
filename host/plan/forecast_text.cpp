#include "forecast_text.h"
#include <fmt/core.h>
#include "host/base/progress.h"
#include "plan_text.h"

namespace {

std::string places(const Cluster& c) {
    if (c.nodes == 1) return fmt::format("{} {}", c.ranks, c.gpu->name);
    return fmt::format("{} {} on {} nodes, {:g} Gb/s from each to the others", c.ranks, c.gpu->name, c.nodes,
                       c.link * 8e-9);
}

std::string times_text(int n) { return n == 1 ? "once" : fmt::format("{} times", n); }

std::string hours_text(double hours) { return fmt::format("{:.{}f}", hours, hours < 10 ? 2 : hours < 1000 ? 1 : 0); }

}  // namespace

std::string tokens_text(double tokens) {
    int exponent = 0;
    while (exponent < 18 && tokens >= 1e3) tokens /= 1e3, exponent += 3;
    return exponent ? fmt::format("{:g}e{}", tokens, exponent) : fmt::format("{:g}", tokens);
}

std::string forecast_text(const Forecast& f, uint64_t capacity, std::optional<double> tokens) {
    const Plan& p = f.plan;
    std::string text = fmt::format("forecast: {}\n", places(f.cluster));
    const auto row = [&](const char* name, const std::string& value, const std::string& more = "") {
        text += fmt::format("  {:<22}{:>12}{}{}\n", name, value, more.empty() ? "" : "  ", more);
    };
    row("a step", grouped(uint64_t(f.sequences()) * uint64_t(p.config.T)),
        fmt::format("tokens: each rank computes {} sequence{} {}, --recompute {}", p.batch, p.batch == 1 ? "" : "s",
                    times_text(f.accumulation), name_of(p.recompute)));
    const auto part = [&](const char* name, double seconds, const std::string& more = "") {
        if (seconds > 0)
            row(name, fmt::format("{:.2f} ms", seconds * 1e3),
                fmt::format("{:>5.1f}%{}{}", 100 * seconds / f.step(), more.empty() ? "" : "  ", more));
    };
    part("matmuls", f.seconds.matmuls), part("attention", f.seconds.attention);
    part("kernels of memory", f.seconds.memory), part("waits for launches", f.seconds.launches);
    part("optimizer", f.seconds.optimizer);
    part("gradients on the way", f.seconds.gradients,
         fmt::format("and {:.2f} ms behind the backward pass", f.hidden * 1e3));
    part("weights on the way", f.seconds.weights);
    row("total", fmt::format("{:.2f} ms", f.step() * 1e3), fmt::format("the limit is {}", f.limit()));
    row("tokens/s", grouped(uint64_t(f.tokens_per_second())),
        fmt::format("{} a GPU, MFU {:.1f}%", grouped(uint64_t(f.tokens_per_second() / f.cluster.ranks)),
                    100 * f.mfu()));
    row("memory of a GPU", bytes_text(p.memory.total()), fmt::format("of {}", bytes_text(capacity)));
    if (tokens)
        row(fmt::format("{} tokens", tokens_text(*tokens)).c_str(), hours_text(f.hours(*tokens)) + " h",
            fmt::format("{} GPU-hours, {} steps", hours_text(f.hours(*tokens) * f.cluster.ranks),
                        grouped(uint64_t(*tokens / (f.sequences() * p.config.T)))));
    return text;
}

std::string forecast_table(const std::vector<ForecastRow>& rows, std::optional<double> tokens) {
    std::string text = fmt::format("{:<7}{:>6}{:>7}{:>7}{:>11}{:>12}{:>10}{:>13}{:>8}{:>9}", "ranks", "nodes", "batch",
                                   "times", "recompute", "step, ms", "of links", "tokens/s", "MFU", "memory");
    if (tokens) text += fmt::format("{:>9}{:>11}", "hours", "GPU-hours");
    text += "  limit\n";
    for (const ForecastRow& row : rows) {
        if (!row.forecast) {
            text += fmt::format("  {:>5}  does not fit\n", row.ranks);
            continue;
        }
        const Forecast& f = *row.forecast;
        text += fmt::format("  {:>5}{:>6}{:>7}{:>7}{:>11}{:>12.2f}{:>9.1f}%{:>13}{:>7.1f}%{:>9}", row.ranks,
                            f.cluster.nodes, f.plan.batch, f.accumulation, name_of(f.plan.recompute), f.step() * 1e3,
                            100 * f.seconds.link() / f.step(), grouped(uint64_t(f.tokens_per_second())), 100 * f.mfu(),
                            bytes_text(f.plan.memory.total()));
        if (tokens)
            text += fmt::format("{:>9}{:>11}", hours_text(f.hours(*tokens)),
                                hours_text(f.hours(*tokens) * f.cluster.ranks));
        text += fmt::format("  {}\n", f.limit());
    }
    return text;
}
