#include "curve_svg.h"
#include <fmt/core.h>
#include <algorithm>
#include <cmath>
#include "host/base/html.h"
#include "host/base/svg.h"

namespace {

constexpr double width = 960, left = 66, right = 894;
constexpr int most_points = 800;  // of a line: what a screen can show
using svg::colors, svg::label;

struct XY {
    double x, y;
};
struct Range {
    double low = INFINITY, high = -INFINITY;
    void add(double v) {
        if (std::isfinite(v)) low = std::min(low, v), high = std::max(high, v);
    }
    // With a little room, and not empty.
    Range padded(double share) const {
        if (!(low <= high)) return {0, 1};
        const double room = high > low ? share * (high - low) : std::max(std::abs(high), 1e-12) * 0.5;
        return {low - room, high + room};
    }
};

// 0, 20, 40, ...: about `many` numbers with one or two digits that are not zero.
std::vector<double> ticks(const Range& r, int many = 6) {
    const double rough = (r.high - r.low) / many, power = std::pow(10, std::floor(std::log10(rough)));
    const double step = power * (rough / power < 1.5 ? 1 : rough / power < 3.5 ? 2 : rough / power < 7.5 ? 5 : 10);
    std::vector<double> all;
    for (double k = std::ceil(r.low / step - 1e-9); k * step <= r.high + 1e-9 * step; k++)
        all.push_back(k == 0 ? 0 : k * step);
    return all;
}

// Means of neighbours, where there are more points than can be seen.
std::vector<XY> thinned(const std::vector<XY>& points) {
    if (points.size() <= most_points) return points;
    std::vector<XY> out;
    for (size_t i = 0; i < most_points; i++) {
        const size_t begin = i * points.size() / most_points, end = (i + 1) * points.size() / most_points;
        XY sum{};
        int n = 0;
        for (size_t k = begin; k < end; k++)
            if (std::isfinite(points[k].y)) sum.x += points[k].x, sum.y += points[k].y, n++;
        out.push_back(n ? XY{sum.x / n, sum.y / n} : XY{points[begin].x, NAN});
    }
    return out;
}

// What lies between the noise: the mean over a fiftieth of the run around each point, as far to both sides,
// so that it does not lag.
std::vector<XY> smoothed(std::vector<XY> points) {
    const size_t n = points.size();
    std::vector<double> sum(n + 1), count(n + 1);
    for (size_t i = 0; i < n; i++) {
        const bool is = std::isfinite(points[i].y);
        sum[i + 1] = sum[i] + (is ? points[i].y : 0), count[i + 1] = count[i] + is;
    }
    for (size_t i = 0; i < n; i++) {
        const size_t reach = std::min({i, n - 1 - i, n / 100}), begin = i - reach, end = i + reach + 1;
        if (std::isfinite(points[i].y)) points[i].y = (sum[end] - sum[begin]) / (count[end] - count[begin]);
    }
    return points;
}

// A box with axes; y runs from its bottom to its top.
struct Panel {
    double top, bottom;
    Range x, y;
    double px(double v) const { return left + (v - x.low) / (x.high - x.low) * (right - left); }
    double py(double v) const { return bottom - (v - y.low) / (y.high - y.low) * (bottom - top); }

    std::string line(const std::vector<XY>& points, const char* color, const char* more) const {
        std::string d;
        bool pen = false;
        for (const XY& p : points) {
            if (!std::isfinite(p.y)) {
                pen = false;
                continue;
            }
            d += fmt::format("{}{:.1f} {:.1f}", pen ? "L" : "M", px(p.x), py(p.y));
            pen = true;
        }
        return d.empty() ? "" : fmt::format("<path d=\"{}\" fill=\"none\" stroke=\"{}\" {}/>\n", d, color, more);
    }
    std::string grid() const {
        std::string out;
        for (double v : ticks(y, bottom - top > 150 ? 6 : 4))
            out += fmt::format(
                "<path class=\"grid\" d=\"M{} {:.1f}H{}\"/><text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>\n",
                left, py(v), right, left - 8, py(v) + 4, label(v));
        for (double v : ticks(x))
            out += fmt::format("<path class=\"grid\" d=\"M{0:.1f} {1}V{2}\"/>", px(v), top, bottom);
        return out + "\n";
    }
    std::string x_labels(const char* what) const {
        std::string out;
        for (double v : ticks(x))
            out += fmt::format("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{}</text>", px(v), bottom + 18,
                               label(v));
        return out + fmt::format("\n<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n", (left + right) / 2,
                                 bottom + 38, what);
    }
};

template <class Point>
double along(const Point& p, PlotAxis axis) {
    return axis == PlotAxis::steps ? p.step : axis == PlotAxis::tokens ? p.tokens : p.seconds;
}

std::vector<XY> points_of(const Curve& c, PlotAxis axis, double StepPoint::*what) {
    std::vector<XY> out;
    for (const StepPoint& p : c.steps) out.push_back({along(p, axis), p.*what});
    return out;
}

std::string losses(const Panel& panel, const Curve& c, PlotAxis axis, const char* color) {
    const std::vector<XY> raw = points_of(c, axis, &StepPoint::loss);
    std::string out = panel.line(thinned(raw), color, "class=\"faint\"") +
                      panel.line(thinned(smoothed(raw)), color, "stroke-width=\"1.6\"");
    std::vector<XY> val;
    for (const ValidationPoint& p : c.validations) val.push_back({along(p, axis), p.loss});
    out += panel.line(val, color, "stroke-width=\"1.6\" stroke-dasharray=\"5 3\"");
    for (const XY& p : val)
        if (std::isfinite(p.y))
            out += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\" fill=\"{}\"/>", panel.px(p.x),
                               panel.py(p.y), color);
    return out + "\n";
}

std::string legend(const std::vector<Curve>& curves, double y) {
    std::string out;
    for (size_t i = 0; i < curves.size(); i++, y += 20) {
        const Curve& c = curves[i];
        std::string text = c.name;
        if (!c.steps.empty()) text += fmt::format(" · loss {:.4f}", c.steps.back().loss);
        if (!c.validations.empty()) text += fmt::format(" · validation {:.4f}", c.validations.back().loss);
        out += fmt::format(
            "<path d=\"M{0} {1}h22\" stroke=\"{2}\" stroke-width=\"2\"/><text x=\"{3}\" y=\"{4}\">{5}</text>\n", left,
            y - 4, colors[i % colors.size()], left + 30, y, escaped(text));
    }
    return out;
}

}  // namespace

std::string plot_svg(const std::vector<Curve>& curves, PlotAxis axis) {
    const double head = 24 + 20 * double(curves.size()), height = head + 670;
    Panel loss{head + 26, head + 346, {}, {}}, rate{head + 392, head + 482, {}, {}},
        norm{head + 528, head + 618, {}, {}};
    for (const Curve& c : curves) {
        for (const StepPoint& p : c.steps)
            loss.x.add(along(p, axis)), loss.y.add(p.loss), rate.y.add(p.lr), norm.y.add(p.grad_norm);
        for (const ValidationPoint& p : c.validations) loss.x.add(along(p, axis)), loss.y.add(p.loss);
        if (c.ideal) loss.y.add(*c.ideal);
    }
    rate.y.add(0), norm.y.add(0);
    loss.x = rate.x = norm.x = loss.x.padded(0);
    loss.y = loss.y.padded(0.04), rate.y = rate.y.padded(0.04), norm.y = norm.y.padded(0.04);

    std::string out = svg::begin(width, height) + legend(curves, 24);
    out += fmt::format(
               "<text class=\"title\" x=\"{}\" y=\"{}\">loss: faint every step, solid smoothed, dashed "
               "validation</text>\n",
               left, loss.top - 8) +
           loss.grid();
    for (const auto& [panel, what] :
         {std::pair(&rate, "learning rate"), {&norm, "gradient norm: faint every step, solid smoothed"}})
        out += fmt::format("<text class=\"title\" x=\"{}\" y=\"{}\">{}</text>\n", left, panel->top - 8, what) +
               panel->grid();
    for (size_t i = 0; i < curves.size(); i++) {
        const char* color = colors[i % colors.size()];
        if (const auto ideal = curves[i].ideal)
            out += fmt::format(
                "<path class=\"ideal\" d=\"M{} {:.1f}H{}\"/><text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">ideal "
                "{:.4f}</text>\n",
                left, loss.py(*ideal), right, right - 4, loss.py(*ideal) - 5, *ideal);
        out += losses(loss, curves[i], axis, color);
        out += rate.line(thinned(points_of(curves[i], axis, &StepPoint::lr)), color, "stroke-width=\"1.6\"");
        const std::vector<XY> norms = points_of(curves[i], axis, &StepPoint::grad_norm);
        out += norm.line(thinned(norms), color, "class=\"faint\"") +
               norm.line(thinned(smoothed(norms)), color, "stroke-width=\"1.6\"");
    }
    const char* names[] = {"steps", "tokens", "seconds"};
    return out + norm.x_labels(names[int(axis)]) + "</svg>\n";
}
