#include "plan_text.h"
#include <fmt/core.h>
#include "host/base/progress.h"

namespace {

std::string scientific(double x, int digits) {
    std::string text = fmt::format("{:.{}e}", x, digits - 1);
    for (const char* padding : {"e+0", "e+"}) {
        if (const size_t at = text.find(padding); at != std::string::npos)
            text.replace(at, std::string(padding).size(), "e");
    }
    return text;
}

double percent(uint64_t part, uint64_t whole) { return 100 * double(part) / double(whole); }

std::string in_words(const Config& c) {
    const std::string kv = c.NKV == c.NH ? "" : fmt::format(" sharing {} key/value heads", c.NKV);
    return fmt::format("{} layers, width {}, {} heads of {}{}, feed-forward {}, vocabulary {}, context {}", c.L,
                       grouped(c.C), c.NH, c.HS, kv, grouped(c.F), grouped(c.V), grouped(c.T));
}

std::string sequences(int n) { return fmt::format("{} sequence{}", grouped(uint64_t(n)), n == 1 ? "" : "s"); }

// Without trailing blanks.
std::string trimmed(const std::string& text) {
    std::string out;
    for (const char c : text) {
        if (c == '\n') out.erase(out.find_last_not_of(' ') + 1);
        out += c;
    }
    return out;
}

Plan at_context(const Plan& plan, Config c, int T) {
    c.T = T;
    return make_plan(c, 1, plan.dtype, plan.recompute, 1, plan.optimizer);
}

std::string shares_table(const Plan& plan) {
    std::string text = fmt::format("{:<24}{:>17}{:>8}{:>19}{:>23}{:>8}\n", "forward, one sequence", "parameters", "",
                                   "FLOPs a layer", "FLOPs of the model", "");
    for (const PlanPart& s : plan.shares()) {
        if (!s.parameters && !s.flops) continue;
        auto cell = [](uint64_t n) { return n ? grouped(n) : "-"; };
        auto part = [](uint64_t n, uint64_t all) { return n ? fmt::format("{:.1f}%", percent(n, all)) : ""; };
        text += fmt::format("  {:<22}{:>17}{:>8}{:>19}{:>23}{:>8}\n", s.name, cell(s.parameters),
                            part(s.parameters, plan.parameters()), cell(s.layer_flops), cell(s.flops),
                            part(s.flops, plan.forward_flops()));
    }
    return text + fmt::format("  {:<22}{:>17}{:>8}{:>19}{:>23}\n", "total", grouped(plan.parameters()), "",
                              grouped(plan.layer_flops()), grouped(plan.forward_flops()));
}

std::string flops_table(const Plan& plan) {
    const double step = double(plan.training_flops()) * plan.batch;
    std::string text = "operations\n";
    auto row = [&](const char* name, double flops, const std::string& why) {
        text += fmt::format("  {:<22}{:>12} FLOPs  {}\n", name, scientific(flops, 5), why);
    };
    row("forward", double(plan.forward_flops()), fmt::format("a sequence of {} tokens", grouped(plan.config.T)));
    row("training", double(plan.training_flops()),
        plan.repeated ? fmt::format("three times that, and what --recompute {} repeats", name_of(plan.recompute))
                      : "three times that: backward does every matmul twice");
    row("a micro-batch", step, sequences(plan.batch));
    row("a token", double(plan.training_flops()) / plan.config.T, "training");
    if (plan.muon_flops) row("Muon", double(plan.muon_flops), "a step, whatever its tokens");

    text += "longer contexts\n";
    for (const int64_t T : {int64_t(plan.config.T), 4 * int64_t(plan.config.T), 16 * int64_t(plan.config.T)}) {
        if (T > 1 << 24) continue;
        const Plan longer = at_context(plan, plan.config, int(T));
        text += fmt::format("  {:<22}{:>12} FLOPs  {:.0f}% attention matmuls\n", grouped(uint64_t(T)),
                            scientific(double(longer.forward_flops()), 4),
                            percent(longer.attention.flops, longer.forward_flops()));
    }
    return text;
}

std::string memory_table(const Plan& plan) {
    const std::string where = plan.ranks > 1 ? fmt::format(", each of {} ranks", plan.ranks) : "";
    std::string text = fmt::format("memory to train: {}, {} of {} tokens, --recompute {}{}\n", name_of(plan.dtype),
                                   sequences(plan.batch), grouped(plan.config.T), name_of(plan.recompute), where);
    const auto line = [&](const char* name, uint64_t bytes) {
        text += fmt::format("  {:<22}{:>12}\n", name, bytes ? bytes_text(bytes) : "-");
    };
    for (const auto& [name, bytes] : plan.memory.rows()) line(name, bytes);
    line("total", plan.memory.total());

    text += fmt::format("{:<24}{:>12}{:>12}{:>12}\n", "the same with", "none", "mlp", "block");
    for (const Dtype dtype : {Dtype::fp32, Dtype::bf16}) {
        text += fmt::format("  {:<22}", name_of(dtype));
        for (const Recompute r : {Recompute::none, Recompute::mlp, Recompute::block}) {
            text += fmt::format(
                "{:>12}",
                bytes_text(make_plan(plan.config, plan.batch, dtype, r, plan.ranks, plan.optimizer).memory.total()));
        }
        text += "\n";
    }
    text += "elsewhere\n";
    text += fmt::format("  {:<22}{:>12} in fp32, {} in bf16\n", "weights alone", bytes_text(4 * plan.parameters()),
                        bytes_text(2 * plan.parameters()));
    text += fmt::format("  {:<22}{:>12} a sequence of {} tokens\n", "KV cache", bytes_text(plan.kv_cache),
                        grouped(plan.config.T));
    text += fmt::format("  {:<22}{:>12} on disk, optimiser included\n", "checkpoint", bytes_text(plan.checkpoint));
    return text;
}

std::string traffic_table(const Plan& plan) {
    if (plan.ranks == 1) return "";
    std::string text = "between ranks, what each sends in a step\n";
    const auto row = [&](const char* name, uint64_t bytes, const std::string& why) {
        text += fmt::format("  {:<22}{:>17} B      {}\n", name, grouped(bytes), why);
    };
    row("gradients", plan.traffic.gradients, fmt::format("{} of {} shards", plan.ranks - 1, plan.ranks));
    row("weights", plan.traffic.weights,
        fmt::format("its shard, {} time{}", plan.ranks - 1, plan.ranks > 2 ? "s" : ""));
    row("norm, loss, signals", plan.traffic.scalars, "");
    row("total", plan.traffic.total(), "");
    return text;
}

}  // namespace

std::string bytes_text(uint64_t bytes) {
    const char* units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    double x = double(bytes);
    int unit = 0;
    for (; x >= 999.5 && unit < 5; unit++) x /= 1000;
    return fmt::format("{:.{}f} {}", x, unit == 0 || x >= 99.95 ? 0 : x >= 9.995 ? 1 : 2, units[unit]);
}

std::string plan_text(const std::string& name, const Plan& plan) {
    return trimmed(fmt::format("{}: {} parameters\n  {}\n", name, grouped(plan.parameters()), in_words(plan.config)) +
                   shares_table(plan) + flops_table(plan) + memory_table(plan) + traffic_table(plan));
}

std::string family_text(const std::string& name, const Plan& plan) {
    std::string family;
    for (const Preset& p : presets())
        if (name == p.name) family = p.family;
    if (family.empty()) return "";
    std::string text = fmt::format("{:<24}{:>17}{:>12}{:>13}{:>11}{:>14}{:>8}\n", "shares of the FLOPs", "parameters",
                                   "FLOPs", "projections", "attention", "feed-forward", "head");
    for (const Preset& p : presets()) {
        if (family != p.family) continue;
        const Plan other = at_context(plan, p.config, plan.config.T);
        auto part = [&](const PlanPart& s) { return percent(s.flops, other.forward_flops()); };
        text +=
            fmt::format("{:<2}{:<22}{:>17}{:>12}{:>12.1f}%{:>10.1f}%{:>13.1f}%{:>7.1f}%\n", name == p.name ? " *" : "",
                        p.name, grouped(other.parameters()), scientific(double(other.forward_flops()), 4),
                        part(other.projections), part(other.attention), part(other.ffn), part(other.head));
    }
    return text;
}

std::string remedies_text(const Plan& plan, uint64_t bytes) {
    std::string text = fmt::format("{}: {} of {}, a twentieth left to driver and libraries\n",
                                   fits(plan, bytes) ? "it fits" : "it does not fit", bytes_text(plan.memory.total()),
                                   bytes_text(bytes));
    if (fits(plan, bytes)) return text;
    for (const Remedy& r : remedies(plan, bytes)) {
        text += fmt::format("  {:<34}{:>12}{:>23} FLOPs a token\n", r.flags, bytes_text(r.plan.memory.total()),
                            scientific(double(r.plan.training_flops()) / r.plan.config.T, 4));
    }
    return text;
}
