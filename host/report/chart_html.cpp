#include "chart_html.h"
#include <fmt/core.h>
#include <algorithm>
#include "host/base/html.h"
#include "host/base/svg.h"

namespace {

constexpr Box paper{0, 1000, 0, 1000};  // stretched to the chart's place; widths of lines are not

double percent(double on_paper) { return on_paper / 10; }

std::string path(const std::string& kind, const std::string& d) {
    return d.empty() ? "" : fmt::format("<path class=\"{}\" d=\"{}\"/>\n", kind, d);
}

// Round dots, whatever the stretch: lines without a length.
std::string dots_of(const std::vector<XY>& points, const ChartView& of) {
    std::string d;
    for (const XY& p : points)
        if (std::isfinite(p.y)) d += fmt::format("M{:.1f} {:.1f}h0", paper.px(p.x, of), paper.py(p.y, of));
    return d;
}

// A line of one point would not be seen.
std::string line_of(const ChartLine& line, const ChartView& of) {
    const auto known =
        std::count_if(line.points.begin(), line.points.end(), [](const XY& p) { return std::isfinite(p.y); });
    const bool dots = line.kind.ends_with("dots");
    if (dots || known == 1) return path(line.kind + (dots ? "" : " dots"), dots_of(line.points, of));
    return path(line.kind, path_of(line.points, of, paper));
}

std::string drawing(const Chart& chart, const std::vector<double>& xs, const std::vector<double>& ys) {
    std::string grid, floors, pauses;
    for (const double y : ys) grid += fmt::format("M0 {:.1f}H1000", paper.py(y, chart.of));
    for (const double x : xs) grid += fmt::format("M{:.1f} 0V1000", paper.px(x, chart.of));
    for (const XY& floor : chart.floors) floors += fmt::format("M0 {:.1f}H1000", paper.py(floor.y, chart.of));
    for (const double x : chart.pauses) pauses += fmt::format("M{:.1f} 0V1000", paper.px(x, chart.of));
    std::string out = "<svg viewBox=\"0 0 1000 1000\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\n" +
                      path("grid", grid) + path("ideal", floors) + path("pause", pauses);
    for (const ChartLine& line : chart.lines) out += line_of(line, chart.of);
    return out + "</svg>\n";
}

}  // namespace

std::string chart_html(const Chart& chart) {
    const ChartView& of = chart.of;
    std::vector<double> xs = ticks(of.x, 4);
    const std::vector<double> ys = ticks(of.y, 4);
    std::erase_if(xs, [](double x) { return x != std::floor(x); });  // there is no half step
    std::string out = fmt::format(
        "<figure class=\"chart\" data-x0=\"{}\" data-x1=\"{}\" data-y0=\"{}\" data-y1=\"{}\" data-dot=\"{}\">\n"
        "<figcaption>{}</figcaption>\n<div class=\"plot\" role=\"img\" aria-label=\"{}\">\n",
        of.x.low, of.x.high, of.y.low, of.y.high, chart.dot, escaped(chart.title), escaped(chart.description));
    out += drawing(chart, xs, ys) + "<div class=\"ys\" aria-hidden=\"true\">";
    for (const double y : ys)
        out += fmt::format("<span style=\"top:{:.2f}%\">{}</span>", percent(paper.py(y, of)), svg::label(y));
    out += "</div><div class=\"xs\" aria-hidden=\"true\">";
    for (const double x : xs)
        out += fmt::format("<span style=\"left:{:.2f}%\">{}</span>", percent(paper.px(x, of)), svg::label(x));
    out += "</div>";
    for (const XY& floor : chart.floors)
        out += fmt::format("<span class=\"floor\" aria-hidden=\"true\" style=\"top:{:.2f}%\">ideal {:.4f}</span>",
                           percent(paper.py(floor.y, of)), floor.y);
    out += "\n<i class=\"cross\" hidden></i><i class=\"dot\" hidden></i></div>\n<p class=\"readout\">";
    for (const ChartValue& value : chart.values)
        out += fmt::format("<span>{}{} <b data-value=\"{}\">{}</b></span> ",
                           value.kind.empty() ? "" : "<i class=\"key " + value.kind + "\"></i>", escaped(value.what),
                           value.key, escaped(value.text));
    return out + "</p>\n</figure>\n";
}
