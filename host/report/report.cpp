#include "report.h"
#include <fmt/core.h>
#include <algorithm>
#include <cmath>
#include <filesystem>
#include "curve_svg.h"
#include "host/base/files.h"
#include "host/base/html.h"
#include "host/base/messages.h"
#include "host/base/progress.h"
#include "host/checkpoint/checkpoint.h"
#include "host/checkpoint/config_json.h"
#include "host/options/flag_table.h"
#include "host/options/options_parse.h"
#include "host/plan/plan.h"
#include "host/run/run_log.h"
#include "host/tokenizer/load_tokenizer.h"
#include "report_inspect.h"
#include "report_style.h"

namespace {

constexpr int most_tokens = 48;      // of the prompt
constexpr size_t most_speeds = 600;  // points of the curve

std::string card(const std::string& value, const std::string& what) {
    return "<div><b>" + escaped(value) + "</b>" + escaped(what) + "</div>\n";
}

std::string row(const std::string& name, const std::string& value, const char* kind = "") {
    return fmt::format("<tr><td>{}</td><td{}>{}</td></tr>\n", escaped(name), kind, escaped(value));
}

std::string value_text(const nlohmann::ordered_json& value) {
    if (value.is_string()) return value.get<std::string>();
    return value.is_null() ? "" : value.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

double median_speed(const std::vector<Speed>& speeds) {
    std::vector<double> rates;
    for (const Speed& s : speeds) rates.push_back(s.tokens_per_s);
    if (rates.empty()) return 0;
    std::nth_element(rates.begin(), rates.begin() + std::ptrdiff_t(rates.size() / 2), rates.end());
    return rates[rates.size() / 2];
}

std::string cards(const Story& s) {
    std::string out = "<div class=\"cards\">\n" + card(short_count(double(s.parameters)), "parameters");
    if (!s.curve.steps.empty()) {
        const StepPoint& last = s.curve.steps.back();
        out += card(fmt::format("{:.0f}", last.step), "steps") + card(short_count(last.tokens), "tokens") +
               card(short_time(last.seconds), "training");
        out += card(fmt::format("{:.4f}", last.loss), "last loss");
    }
    double best = INFINITY;
    for (const ValidationPoint& v : s.curve.validations)
        if (v.loss < best) best = v.loss;
    if (std::isfinite(best)) out += card(fmt::format("{:.4f}", best), "best validation loss");
    if (s.curve.ideal) out += card(fmt::format("{:.4f}", *s.curve.ideal), "ideal loss");
    if (const double rate = median_speed(s.speeds); rate > 0) out += card(short_count(rate), "tokens a second");
    return out + "</div>\n";
}

std::string speed_chart(const std::vector<Speed>& speeds, double most) {
    constexpr double left = 64, right = 984, top = 10, bottom = 116;
    const double first = speeds.front().step, steps = std::max(speeds.back().step - first, 1e-9);
    const auto x = [&](double step) { return left + (right - left) * std::clamp((step - first) / steps, 0.0, 1.0); };
    const auto y = [&](double rate) { return bottom - (bottom - top) * rate / std::max(most, 1e-9); };
    std::string out = "<svg class=\"speed\" viewBox=\"0 0 1000 144\" width=\"1000\" height=\"144\">\n", path;
    for (const double rate : {0.0, most / 2, most})
        out += fmt::format(
            "<path class=\"grid\" d=\"M{0:.0f} {1:.1f}H{2:.0f}\"/><text x=\"{3:.0f}\" y=\"{4:.1f}\" "
            "text-anchor=\"end\">{5}</text>\n",
            left, y(rate), right, left - 8, y(rate) + 4, short_count(rate));
    for (const double part : {0.0, 0.5, 1.0})
        out += fmt::format("<text x=\"{:.0f}\" y=\"{:.0f}\" text-anchor=\"middle\">{:.0f}</text>\n",
                           left + part * (right - left), bottom + 20, first + part * steps);
    const size_t n = speeds.size(), shown = std::min(n, most_speeds);
    for (size_t i = 0; i < shown; i++) {
        const Speed& speed = speeds[i * (n - 1) / (shown - 1)];
        path += fmt::format("{}{:.1f} {:.1f}", i ? "L" : "M", x(speed.step), y(speed.tokens_per_s));
    }
    return out + "<path class=\"curve\" d=\"" + path + "\"/></svg>\n";
}

std::string speed_section(const Story& s) {
    if (s.speeds.size() < 2) return "";
    double most = 0;
    for (const Speed& speed : s.speeds) most = std::max(most, speed.tokens_per_s);
    const double mfu = s.speeds.back().mfu;
    return fmt::format("<h2>Throughput</h2>\n<p>Tokens a second against steps: median {}, most {}{}.</p>\n{}",
                       short_count(median_speed(s.speeds)), short_count(most),
                       std::isfinite(mfu) ? fmt::format("; MFU at the end {:.1f}%", 100 * mfu) : "",
                       speed_chart(s.speeds, most));
}

std::string memory_table(const Story& s) {
    if (!problems(s.config, s.options.batch).empty()) return "";
    const Memory m = make_plan(s.config, s.options.batch, s.options.dtype, s.options.recompute).memory;
    std::string out = "<table><tr><th colspan=\"2\">memory</th></tr>\n";
    auto rows = m.rows();
    rows.emplace_back("total", m.total());
    for (const auto& [name, bytes] : rows)
        if (bytes) out += row(name, short_count(double(bytes)) + "B", " class=\"number\"");
    return out + "</table>\n";
}

std::string configuration(const Story& s) {
    std::string out = "<h2>Configuration</h2>\n<div class=\"tables\">\n<table><tr><th colspan=\"2\">model</th></tr>\n";
    const Json model = to_json(s.config);
    for (const auto& [name, value] : model.items()) out += row(name, value_text(value));
    out += "</table>\n<table><tr><th colspan=\"2\">flags that were not left at their default</th></tr>\n";
    const auto usual = to_json(default_options(Command::train)), mine = to_json(s.options);
    for (const auto& [name, value] : mine.items())
        if (usual[name] != value && !value.is_null()) out += row("--" + name, value_text(value));
    return out + "</table>\n" + memory_table(s) + "</div>\n";
}

std::string samples(const Story& s) {
    if (s.samples.empty()) return "";
    std::string out = "<h2>Samples</h2>\n";
    for (size_t i = s.samples.size(); i-- > 0;)
        out += fmt::format("<details{}><summary>after step {}</summary><pre>{}</pre></details>\n",
                           i + 1 == s.samples.size() ? " open" : "", s.samples[i].step, escaped(s.samples[i].text));
    return out;
}

}  // namespace

std::string report_page(const Story& s, const std::optional<Inspection>& insides, const std::string& missing) {
    std::string out =
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
        "content=\"width=device-width\">\n"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src "
        "data:\">\n";
    out += "<title>" + escaped(s.curve.name) + "</title>\n" + report_style + "</head><body>\n<h1>" +
           escaped(s.curve.name) + "</h1>\n";
    out += "<p>" + escaped(s.options.model) + "</p>\n" + cards(s) + "<h2>Curves</h2>\n" +
           plot_svg({s.curve}, PlotAxis::steps) + samples(s) + speed_section(s);
    out += insides           ? inspection_html(*insides)
           : missing.empty() ? ""
                             : "<h2>Attention</h2>\n<p>" + escaped(missing) + "</p>\n";
    return out + configuration(s) + "</body></html>\n";
}

Story read_story(const std::string& run) {
    Story story;
    story.curve = read_curve(run);
    bool known = false;
    story.options = default_options(Command::train);
    const auto take = [&](const Json& line) {
        if (line.contains("run") && line.contains("model")) {
            restore(story.options, line["run"]);
            story.config = config_from_json(line["model"], run + "/log.jsonl");
            story.parameters = line.value("parameters", uint64_t(0));
            known = true;
        } else if (line.contains("sample") && line["sample"].is_string()) {
            story.samples.push_back({line.value("step", int64_t(0)), line["sample"].get<std::string>()});
        } else if (line.contains("tokens_per_s") && line["tokens_per_s"].is_number()) {
            story.speeds.push_back({line.value("step", 0.0), line["tokens_per_s"].get<double>(),
                                    line.contains("mfu") && line["mfu"].is_number() ? line["mfu"].get<double>() : NAN});
        }
    };
    try {
        read_log(run, take);
    } catch (const Json::exception& problem) {
        throw Error(Exit::input, run + "/log.jsonl", problem.what(), "was the log edited?");
    }
    if (!known)
        throw Error(Exit::input, run, "its log.jsonl does not begin with the run's flags and model",
                    "was the log edited?");
    return story;
}

void write_report(const Options& options) {
    const std::string run = options.runs.at(0), directory = model_directory(run);
    const Story story = read_story(run);
    const std::string prompt = options.prompt          ? *options.prompt
                               : story.samples.empty() ? ""
                                                       : story.samples.back().text;
    std::optional<Inspection> insides;
    std::string missing;
    if (directory == run && !files::exists(run + "/config.json")) missing = "The run has no checkpoint yet.";
    else if (!has_tokenizer(directory)) missing = "The model has no tokenizer: there is no text to show.";
    else insides = inspect(directory, prompt, most_tokens);
    const std::string path = options.out.empty() ? run + "/report.html" : options.out;
    files::replace_output(path, report_page(story, insides, missing));
    print_piece("wrote " + printable(path) + ": open it in a browser\n");
}
