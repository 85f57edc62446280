#include "report_charts.h"
#include <fmt/core.h>
#include <algorithm>
#include <cstdlib>
#include <set>
#include "chart_html.h"
#include "host/base/progress.h"

namespace {

constexpr size_t most_steps = 1200, most_left_out = 200;  // in the page's data

std::vector<XY> points_of(const Curve& c, double StepPoint::*what) {
    std::vector<XY> out;
    for (const StepPoint& p : c.steps) out.push_back({p.step, p.*what});
    return out;
}

Extent steps_of(const Curve& c) {
    Extent x;
    for (const StepPoint& p : c.steps) x.add(p.step);
    for (const ValidationPoint& p : c.validations) x.add(p.step);
    return x.padded(0);
}

std::string step_text(double step) { return step >= 0 && step < 1e15 ? grouped(uint64_t(step)) : "?"; }
std::string loss_text(double loss) { return std::isfinite(loss) ? fmt::format("{:.4f}", loss) : "not finite"; }
std::string short_number(double x) { return std::isfinite(x) ? fmt::format("{:.3g}", x) : "not finite"; }

ChartValue step_value(const Curve& c) {
    return {"", "step", "step", c.steps.empty() ? "" : step_text(c.steps.back().step)};
}

// "from 3.21 at step 1 to 0.43 at step 1,500"
std::string from_to(const std::vector<XY>& points) {
    const auto known = [](const XY& p) { return std::isfinite(p.y); };
    const auto first = std::find_if(points.begin(), points.end(), known);
    if (first == points.end()) return "never finite";
    const auto last = std::find_if(points.rbegin(), points.rend(), known);
    return fmt::format("from {:.4g} at step {} to {:.4g} at step {}", first->y, step_text(first->x), last->y,
                       step_text(last->x));
}

// Steps that count for nothing, along the upper edge.
std::vector<XY> left_out(const Curve& c, double top) {
    std::vector<XY> out;
    for (const StepPoint& p : c.steps)
        if (p.left_out != LeftOut::no) out.push_back({p.step, top});
    return out;
}

struct Losses {
    std::vector<XY> raw, smooth, val;
    explicit Losses(const Curve& c) : raw(points_of(c, &StepPoint::loss)), smooth(smoothed(raw)) {
        for (const ValidationPoint& p : c.validations) val.push_back({p.step, p.loss});
    }
};

Chart loss_chart(const Story& s, const Losses& of, const std::string& title, const ChartView& window) {
    const Curve& c = s.curve;
    Chart chart{title, "Training loss " + from_to(of.smooth), window, {}, {step_value(c)}, "smooth", {}, s.resumed};
    if (!of.val.empty()) chart.description += "; validation loss " + from_to(of.val);
    if (c.ideal) chart.floors.push_back({0, *c.ideal});
    if (c.ideal) chart.description += fmt::format("; no model can be below {:.4f}", *c.ideal);
    chart.lines = {{"faint", envelope(of.raw)}, {"line", thinned(of.smooth)}, {"dashed", of.val}, {"val dots", of.val}};
    const bool any = !c.steps.empty();
    chart.values.push_back({"faint", "loss", "loss", any ? loss_text(c.steps.back().loss) : ""});
    chart.values.push_back({"line", "smoothed", "smooth", any ? loss_text(of.smooth.back().y) : ""});
    if (!of.val.empty()) chart.values.push_back({"dashed", "validation", "val", loss_text(of.val.back().y)});
    const std::vector<XY> bad = left_out(c, window.y.high);
    chart.lines.push_back({"bad dots", bad});
    if (!bad.empty()) chart.values.push_back({"bad", "left out", "left_out", step_text(double(bad.size())) + " steps"});
    if (!s.resumed.empty())
        chart.values.push_back({"pause", "resumed", "resumed", step_text(double(s.resumed.size())) + "×"});
    return chart;
}

// The most of what is usual: a few spikes must not press all else to the ground. They leave the chart at its upper
// edge.
double without_spikes(const std::vector<XY>& points) {
    std::vector<double> values;
    for (const XY& p : points)
        if (std::isfinite(p.y)) values.push_back(p.y);
    if (values.empty()) return NAN;
    std::sort(values.begin(), values.end());
    const double usual = values[values.size() * 99 / 100], most = values.back();
    return most > 3 * usual ? 1.5 * usual : most;
}

// Which steps' numbers the page holds.
std::vector<size_t> steps_to_tell(const std::vector<StepPoint>& steps) {
    std::set<size_t> chosen;
    const size_t n = steps.size(), many = std::min(n, most_steps);
    for (size_t i = 0; i < many; i++) chosen.insert(many == 1 ? 0 : i * (n - 1) / (many - 1));
    size_t bad = 0;
    for (size_t i = 0; i < n && bad < most_left_out; i++)
        if (steps[i].left_out != LeftOut::no) chosen.insert(i), bad++;
    return {chosen.begin(), chosen.end()};
}

Json value_of(double x) { return std::isfinite(x) ? Json(x) : Json(); }
// For the eye: six digits.
Json rounded(double x) {
    return std::isfinite(x) ? Json(std::strtod(fmt::format("{:.6g}", x).c_str(), nullptr)) : Json();
}

}  // namespace

std::string loss_charts(const Story& s) {
    const Losses of(s.curve);
    ChartView whole{steps_of(s.curve), {}};
    for (const auto* line : {&of.raw, &of.val})
        for (const XY& p : *line) whole.y.add(p.y);
    std::vector<double> floors;
    if (s.curve.ideal) floors = {*s.curve.ideal}, whole.y.add(*s.curve.ideal);
    whole.y = whole.y.padded(0.12, 0.05);
    const std::optional<ChartView> end = closer_look(whole, {of.smooth, of.val}, floors);
    std::string out = fmt::format("<div class=\"charts{}\">\n", end ? "" : " alone");
    out += chart_html(loss_chart(s, of, "Loss", whole));
    if (end) out += chart_html(loss_chart(s, of, "Loss, the end closer", *end));
    return out + "</div>\n";
}

std::string rate_and_norm_charts(const Story& s) {
    const Curve& c = s.curve;
    if (c.steps.empty()) return "";
    const std::vector<XY> rates = points_of(c, &StepPoint::lr), norms = points_of(c, &StepPoint::grad_norm),
                          smooth = smoothed(norms);
    ChartView rate{steps_of(c), {}}, norm = rate;
    rate.y.add(0), norm.y.add(0);
    for (const XY& p : rates) rate.y.add(p.y);
    norm.y.add(without_spikes(norms));
    rate.y = rate.y.padded(0, 0.06), norm.y = norm.y.padded(0, 0.06);
    const Chart of_rate{"Learning rate",
                        "Learning rate " + from_to(rates),
                        rate,
                        {{"line", thinned(rates)}},
                        {step_value(c), {"line", "rate", "lr", short_number(rates.back().y)}},
                        "lr",
                        {},
                        s.resumed};
    const Chart of_norm{"Norm of the gradient",
                        "Norm of the gradient " + from_to(smooth),
                        norm,
                        {{"faint", envelope(norms)}, {"line", thinned(smooth)}},
                        {step_value(c),
                         {"faint", "norm", "norm", short_number(norms.back().y)},
                         {"line", "smoothed", "norm_smooth", short_number(smooth.back().y)}},
                        "norm_smooth",
                        {},
                        s.resumed};
    return "<div class=\"charts\">\n" + chart_html(of_rate) + chart_html(of_norm) + "</div>\n";
}

double median_speed(const Story& s) {
    std::vector<double> rates;
    for (const StepPoint& p : s.curve.steps)
        if (std::isfinite(p.tokens_per_s)) rates.push_back(p.tokens_per_s);
    if (rates.empty()) return 0;
    std::nth_element(rates.begin(), rates.begin() + std::ptrdiff_t(rates.size() / 2), rates.end());
    return rates[rates.size() / 2];
}

std::string speed_chart(const Story& s) {
    const std::vector<XY> rates = points_of(s.curve, &StepPoint::tokens_per_s);
    if (median_speed(s) <= 0) return "";
    ChartView of{steps_of(s.curve), {}};
    of.y.add(0);
    for (const XY& p : rates) of.y.add(p.y);
    of.y = of.y.padded(0, 0.06);
    Chart chart{"Throughput",
                "Tokens a second " + from_to(rates),
                of,
                {{"line", thinned(rates)}},
                {step_value(s.curve)},
                "rate",
                {},
                s.resumed};
    const StepPoint& last = s.curve.steps.back();
    chart.values.push_back({"line", "tokens a second", "rate", short_count(last.tokens_per_s)});
    chart.values.push_back({"", "after", "seconds", short_time(last.seconds)});
    if (std::isfinite(last.mfu)) chart.values.push_back({"", "MFU", "mfu", fmt::format("{:.1f}%", 100 * last.mfu)});
    return chart_html(chart);
}

Json chart_data(const Story& s) {
    const std::vector<StepPoint>& steps = s.curve.steps;
    const std::vector<XY> smooth = smoothed(points_of(s.curve, &StepPoint::loss)),
                          norms = smoothed(points_of(s.curve, &StepPoint::grad_norm));
    Json data = Json::object();
    for (const char* key :
         {"step", "loss", "smooth", "lr", "norm", "norm_smooth", "rate", "seconds", "mfu", "left_out"})
        data[key] = Json::array();
    for (const size_t i : steps_to_tell(steps)) {
        const StepPoint& p = steps[i];
        for (const auto& [key, x] : {std::pair("step", p.step), {"loss", p.loss}, {"lr", p.lr}, {"norm", p.grad_norm}})
            data[key].push_back(value_of(x));
        for (const auto& [key, x] : {std::pair("smooth", smooth[i].y),
                                     {"norm_smooth", norms[i].y},
                                     {"rate", p.tokens_per_s},
                                     {"seconds", p.seconds},
                                     {"mfu", p.mfu}})
            data[key].push_back(rounded(x));
        data["left_out"].push_back(p.left_out == LeftOut::no      ? ""
                                   : p.left_out == LeftOut::spike ? "a spike"
                                                                  : "not finite");
    }
    data["val"] = Json::array();
    for (const ValidationPoint& v : s.curve.validations) data["val"].push_back({value_of(v.step), value_of(v.loss)});
    return data;
}
