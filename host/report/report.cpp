#include "report.h"
#include <fmt/core.h>
#include <algorithm>
#include <cmath>
#include "host/base/files.h"
#include "host/base/html.h"
#include "host/base/messages.h"
#include "host/base/progress.h"
#include "host/checkpoint/checkpoint.h"
#include "host/checkpoint/config_json.h"
#include "host/options/flag_table.h"
#include "host/options/options_check.h"
#include "host/plan/plan.h"
#include "host/tokenizer/load_tokenizer.h"
#include "report_charts.h"
#include "report_inspect.h"
#include "report_script.h"
#include "report_style.h"

namespace {

constexpr int most_tokens = 48;     // of the prompt
constexpr size_t side_by_side = 6;  // samples

std::string card(const std::string& value, const std::string& what) {
    return "<div><dt>" + escaped(what) + "</dt><dd>" + escaped(value) + "</dd></div>\n";
}

std::string row(const std::string& name, const std::string& value) {
    return fmt::format("<tr><td>{}</td><td>{}</td></tr>\n", escaped(name), escaped(value));
}

std::string value_text(const nlohmann::ordered_json& value) {
    if (value.is_string()) return value.get<std::string>();
    return value.is_null() ? "" : value.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

std::string count_text(double n) { return grouped(uint64_t(std::clamp(n, 0.0, 1e18))); }

// Where the run stands: one word, and a sentence.
struct Status {
    const char *kind, *word;
    std::string text;
};
Status status_of(const Story& s) {
    const double step = s.last_step();
    const std::string steps = count_text(step) + (s.steps ? " of " + count_text(double(s.steps)) : "") + " steps";
    switch (s.ending) {
        case Ending::finished:
            return {"finished", "finished", step == 1 ? "its one step" : "all " + count_text(step) + " steps"};
        case Ending::early_stop: return {"finished", "finished early", steps + ": the validation loss got no better"};
        case Ending::stopped: return {"stopped", "stopped", steps + "; --resume goes on"};
        case Ending::unknown: break;
    }
    if (!s.goes_on) return {"ended", "ended", steps + ", and no last word; --resume goes on from its last checkpoint"};
    const double seconds = s.curve.steps.empty() ? 0 : s.curve.steps.back().seconds;
    const bool knows = s.steps && step > 0 && std::isfinite(seconds);
    return {"training", "training",
            steps + (knows ? ", about " + short_time(seconds / step * (double(s.steps) - step)) + " to go" : "")};
}

std::string header(const Story& s) {
    const Status now = status_of(s);
    std::string out =
        "<header>\n<h1>" + escaped(s.curve.name) + "</h1>\n<p class=\"status\"><span class=\"chip " + now.kind + "\">" +
        now.word + "</span><span>" + escaped(now.text) + "</span><span>" + escaped(s.options.model) + "</span></p>\n" +
        "<p id=\"stale\" class=\"stale\" hidden>Nobody rewrites this page any more: it is no longer what the "
        "run is.</p>\n";
    if (s.goes_on && s.steps)
        out += fmt::format("<progress max=\"{}\" value=\"{}\" aria-label=\"steps done\"></progress>\n", s.steps,
                           s.last_step());
    return out + "</header>\n";
}

std::string cards(const Story& s) {
    std::string out = "<dl class=\"cards\">\n" + card(short_count(double(s.parameters)), "parameters");
    if (!s.curve.steps.empty()) {
        const StepPoint& last = s.curve.steps.back();
        out += card(count_text(last.step), "steps") + card(short_count(last.tokens), "tokens") +
               card(std::isfinite(last.seconds) ? short_time(last.seconds) : "?", "training") +
               card(std::isfinite(last.loss) ? fmt::format("{:.4f}", last.loss) : "not finite", "last loss");
    }
    double best = INFINITY;
    for (const ValidationPoint& v : s.curve.validations)
        if (v.loss < best) best = v.loss;
    if (std::isfinite(best)) out += card(fmt::format("{:.4f}", best), "best validation loss");
    if (s.curve.ideal) out += card(fmt::format("{:.4f}", *s.curve.ideal), "ideal loss");
    if (s.curve.ideal && std::isfinite(best))
        out += card(fmt::format("{:.1f}%", 100 * (best / *s.curve.ideal - 1)), "validation above ideal");
    if (const double rate = median_speed(s); rate > 0) out += card(short_count(rate), "tokens a second");
    return out + "</dl>\n";
}

std::string validation_at(const Story& s, int64_t step) {
    for (const ValidationPoint& v : s.curve.validations)
        if (v.step == double(step) && std::isfinite(v.loss)) return fmt::format(" · validation {:.4f}", v.loss);
    return "";
}

// In the order of time. Of many a few side by side, from the first to the last, and all behind a click.
std::string samples(const Story& s) {
    const size_t n = s.samples.size(), shown = std::min(n, side_by_side);
    if (n == 0) return "";
    const auto title = [&](const Sample& one) {
        return fmt::format("after step {}<span>{}</span>", one.step, validation_at(s, one.step));
    };
    std::string out = "<h2>Samples through time</h2>\n<ol class=\"samples\" tabindex=\"0\" aria-label=\"samples\">\n";
    for (size_t i = 0; i < shown; i++) {
        const Sample& one = s.samples[shown == 1 ? n - 1 : i * (n - 1) / (shown - 1)];
        out += "<li><h3>" + title(one) + "</h3><pre tabindex=\"0\">" + escaped(one.text) + "</pre></li>\n";
    }
    out += "</ol>\n";
    if (n == shown) return out;
    out += fmt::format("<details><summary>all {} samples</summary>\n", n);
    for (const Sample& one : s.samples) out += "<h3>" + title(one) + "</h3><pre>" + escaped(one.text) + "</pre>\n";
    return out + "</details>\n";
}

std::string memory_html(const Story& s) {
    const Options& o = s.options;
    const int sequences = sequences_of_step(o, o.context.value_or(s.config.T));
    if (!problems(s.config, o.batch).empty() || sequences < o.ranks || sequences % o.ranks) return "";
    const Memory m = make_plan(s.config, micro_batch(o, sequences), o.dtype, o.recompute, o.ranks, o.optimizer).memory;
    const double total = double(std::max<uint64_t>(m.total(), 1));
    std::string bar, table;
    int colour = 0;
    for (const auto& [name, bytes] : m.rows()) {
        const double share = 100 * double(bytes) / total;
        if (bytes) bar += fmt::format("<i class=\"m{}\" style=\"flex:{:.3f}\"></i>", colour, share);
        if (bytes)
            table += fmt::format(
                "<tr><td><i class=\"patch m{}\"></i>{}</td><td class=\"number\">{}B</td><td "
                "class=\"number\">{:.0f}%</td></tr>\n",
                colour, name, short_count(double(bytes)), share);
        colour++;
    }
    table += fmt::format("<tr><td>total</td><td class=\"number\">{}B</td><td></td></tr>\n", short_count(total));
    return "<div><figcaption>Memory" + std::string(o.ranks > 1 ? " of each rank" : "") +
           ", as planned</figcaption>\n<div class=\"stack\" aria-hidden=\"true\">" + bar + "</div>\n<table>" + table +
           "</table></div>\n";
}

std::string speed_and_memory(const Story& s) {
    const std::string speed = speed_chart(s), memory = memory_html(s);
    const bool both = !speed.empty() && !memory.empty();
    if (speed.empty() && memory.empty()) return "";
    return fmt::format("<h2>Throughput and memory</h2>\n<div class=\"charts{}\">\n{}{}</div>\n", both ? "" : " alone",
                       speed, memory);
}

std::string configuration(const Story& s) {
    std::string out = "<h2>Configuration</h2>\n<div class=\"tables\">\n<table><tr><th colspan=\"2\">model</th></tr>\n";
    const Json model = to_json(s.config);
    for (const auto& [name, value] : model.items()) out += row(name, value_text(value));
    out += "</table>\n<table><tr><th colspan=\"2\">flags that were not left at their default</th></tr>\n";
    const auto usual = to_json(default_options(Command::train)), mine = to_json(s.options);
    for (const auto& [name, value] : mine.items())
        if (usual[name] != value && !value.is_null()) out += row("--" + name, value_text(value));
    return out + "</table>\n</div>\n";
}

// JSON that no text in it can end.
std::string data_block(const Json& data) {
    std::string out = "<script type=\"application/json\" id=\"data\">";
    for (const char c : data.dump(-1, ' ', false, Json::error_handler_t::replace))
        out += c == '<' ? "\\u003c" : std::string(1, c);
    return out + "</script>\n";
}

// Nothing is loaded from anywhere, and of scripts only ours runs: its nonce is the hash of all the page says, which no
// text in the page can know.
std::string head(const Story& s, const Reload& reload, const std::string& nonce) {
    std::string out = fmt::format(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src "
        "data:; script-src 'nonce-{}'; base-uri 'none'; form-action 'none'\">\n",
        nonce);
    if (reload.seconds)
        out += fmt::format("<noscript><meta http-equiv=\"refresh\" content=\"{}\"></noscript>\n", reload.seconds);
    return out + "<title>" + escaped(s.curve.name) + "</title>\n" + report_style + "</head>\n";
}

}  // namespace

std::string report_page(const Story& s, const Insides& insides, const Reload& reload) {
    std::string body = "<body>\n" + header(s) + "<main>\n" + cards(s) + "<h2>Curves</h2>\n" + loss_charts(s) +
                       rate_and_norm_charts(s) + samples(s) + speed_and_memory(s);
    Json data = chart_data(s);
    if (reload.seconds) data["reload"] = reload.seconds, data["written"] = reload.written;
    if (insides.seen) data["attention"] = inspection_data(*insides.seen), body += inspection_html(*insides.seen);
    else if (!insides.missing.empty()) body += "<h2>Attention</h2>\n<p>" + escaped(insides.missing) + "</p>\n";
    body += configuration(s) + "</main>\n" + data_block(data);
    const std::string nonce = files::hex(files::hash(body));
    return head(s, reload, nonce) + body + "<script nonce=\"" + nonce + "\">" + report_script +
           "</script>\n</body></html>\n";
}

Insides insides_of(const std::string& run, const Story& story, const std::optional<std::string>& text) {
    const std::string directory = model_directory(run);
    if (directory == run && !files::exists(run + "/config.json")) return {{}, "The run has no checkpoint yet."};
    if (!has_tokenizer(directory)) return {{}, "The model has no tokenizer: there is no text to show."};
    const std::string prompt = text ? *text : story.samples.empty() ? "" : story.samples.back().text;
    return {inspect(directory, prompt, most_tokens), ""};
}

std::string report_path(const Options& options) {
    return options.out.empty() ? options.runs.at(0) + "/report.html" : options.out;
}

void write_report(const Options& options) {
    const std::string run = options.runs.at(0), path = report_path(options);
    const Story story = read_story(run);
    require_steps(story.curve, run);
    files::replace_output(path, report_page(story, insides_of(run, story, options.prompt)));
    print_piece("wrote " + printable(path) + ": open it in a browser\n");
}
