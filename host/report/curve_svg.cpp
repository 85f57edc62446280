#include "curve_svg.h"
#include <fmt/core.h>
#include <algorithm>
#include <cmath>
#include "chart_points.h"
#include "host/base/html.h"
#include "host/base/svg.h"

namespace {

constexpr double width = 960, left = 66, right = 894;
using svg::colors;

// A box with axes.
struct Panel {
    Box box;
    ChartView of;

    std::string line(const std::vector<XY>& points, const char* color, const char* more) const {
        const std::string d = path_of(points, of, box);
        return d.empty() ? "" : fmt::format("<path d=\"{}\" fill=\"none\" stroke=\"{}\" {}/>\n", d, color, more);
    }
    bool is_wide() const { return box.right - box.left > 600; }
    std::string grid() const {
        std::string out;
        for (double v : ticks(of.y, is_wide() && box.bottom - box.top > 250 ? 6 : 4))
            out += fmt::format(
                "<path class=\"grid\" d=\"M{} {:.1f}H{}\"/><text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>\n",
                box.left, py(v), box.right, box.left - 8, py(v) + 4, svg::label(v));
        for (double v : ticks(of.x, is_wide() ? 6 : 4))
            out += fmt::format("<path class=\"grid\" d=\"M{0:.1f} {1}V{2}\"/>", px(v), box.top, box.bottom);
        return out + "\n";
    }
    std::string x_labels() const {
        std::string out;
        for (double v : ticks(of.x, is_wide() ? 6 : 4))
            out += fmt::format("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{}</text>", px(v), box.bottom + 18,
                               svg::label(v));
        return out + "\n";
    }
    double px(double v) const { return box.px(v, of); }
    double py(double v) const { return box.py(v, of); }
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

struct Losses {
    std::vector<XY> raw, smooth, val;

    Losses(const Curve& c, PlotAxis axis) : raw(points_of(c, axis, &StepPoint::loss)), smooth(smoothed(raw)) {
        for (const ValidationPoint& p : c.validations) val.push_back({along(p, axis), p.loss});
    }
};

std::string drawn(const Panel& panel, const Losses& of, const char* color) {
    std::string out = panel.line(envelope(of.raw), color, "class=\"faint\"") +
                      panel.line(thinned(of.smooth), color, "stroke-width=\"1.6\"") +
                      panel.line(of.val, color, "stroke-width=\"1.6\" stroke-dasharray=\"5 3\"");
    for (const XY& p : of.val)
        if (std::isfinite(p.y))
            out += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\" fill=\"{}\"/>", panel.px(p.x),
                               panel.py(p.y), color);
    return out + "\n";
}

std::string ideal_line(const Panel& panel, double ideal) {
    return fmt::format("<path class=\"ideal\" d=\"M{} {:.1f}H{}\"/><text x=\"{}\" y=\"{:.1f}\">ideal {:.4f}</text>\n",
                       panel.box.left, panel.py(ideal), panel.box.right, panel.box.left + 6, panel.py(ideal) + 14,
                       ideal);
}

// The end of the curves, closer, where the picture of the whole leaves room for it.
std::string inset(const Panel& whole, const std::vector<Curve>& curves, const std::vector<Losses>& losses) {
    const Box at{330, whole.box.right - 14, whole.box.top + 34, whole.box.bottom - 84};
    std::vector<std::vector<XY>> lines;
    std::vector<double> ideals;
    for (size_t i = 0; i < curves.size(); i++) {
        for (const auto* line : {&losses[i].smooth, &losses[i].val}) lines.push_back(*line);
        for (const XY& p : losses[i].raw)
            if (whole.px(p.x) > at.left - 60 && whole.py(p.y) < at.bottom + 40) return "";
        if (curves[i].ideal) ideals.push_back(*curves[i].ideal);
    }
    const std::optional<ChartView> end = closer_look(whole.of, lines, ideals);
    if (!end) return "";
    const Panel closer{at, *end};
    std::string out = fmt::format("<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"var(--paper)\"/>\n",
                                  at.left - 52, at.top - 28, at.right - at.left + 66, at.bottom - at.top + 56);
    out += fmt::format("<text class=\"title\" x=\"{}\" y=\"{}\">closer</text>\n", at.left, at.top - 8) + closer.grid() +
           closer.x_labels();
    out += fmt::format("<svg x=\"{0}\" y=\"{1}\" width=\"{2}\" height=\"{3}\" viewBox=\"{0} {1} {2} {3}\">\n", at.left,
                       at.top, at.right - at.left, at.bottom - at.top);
    for (const double ideal : ideals) out += ideal_line(closer, ideal);
    for (size_t i = 0; i < curves.size(); i++) out += drawn(closer, losses[i], colors[i % colors.size()]);
    return out + "</svg>\n";
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
    Panel loss{{left, right, head + 26, head + 346}, {}}, rate{{left, right, head + 392, head + 482}, {}},
        norm{{left, right, head + 528, head + 618}, {}};
    std::vector<Losses> all;
    for (const Curve& c : curves) {
        all.emplace_back(c, axis);
        for (const StepPoint& p : c.steps)
            loss.of.x.add(along(p, axis)), loss.of.y.add(p.loss), rate.of.y.add(p.lr), norm.of.y.add(p.grad_norm);
        for (const ValidationPoint& p : c.validations) loss.of.x.add(along(p, axis)), loss.of.y.add(p.loss);
        if (c.ideal) loss.of.y.add(*c.ideal);
    }
    rate.of.y.add(0), norm.of.y.add(0);
    loss.of.x = rate.of.x = norm.of.x = loss.of.x.padded(0);
    loss.of.y = loss.of.y.padded(0.08, 0.04), rate.of.y = rate.of.y.padded(0.04), norm.of.y = norm.of.y.padded(0.04);

    std::string out = svg::begin(width, height) + legend(curves, 24);
    for (const auto& [panel, what] : {std::pair(&loss, "loss: faint every step, solid smoothed, dashed validation"),
                                      {&rate, "learning rate"},
                                      {&norm, "gradient norm: faint every step, solid smoothed"}})
        out += fmt::format("<text class=\"title\" x=\"{}\" y=\"{}\">{}</text>\n", left, panel->box.top - 8, what) +
               panel->grid();
    for (size_t i = 0; i < curves.size(); i++) {
        const char* color = colors[i % colors.size()];
        if (curves[i].ideal) out += ideal_line(loss, *curves[i].ideal);
        out += drawn(loss, all[i], color);
        out += rate.line(thinned(points_of(curves[i], axis, &StepPoint::lr)), color, "stroke-width=\"1.6\"");
        const std::vector<XY> norms = points_of(curves[i], axis, &StepPoint::grad_norm);
        out += norm.line(envelope(norms), color, "class=\"faint\"") +
               norm.line(thinned(smoothed(norms)), color, "stroke-width=\"1.6\"");
    }
    const char* names[] = {"steps", "tokens", "seconds"};
    return out + inset(loss, curves, all) + norm.x_labels() +
           fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n</svg>\n", (left + right) / 2,
                       norm.box.bottom + 38, names[int(axis)]);
}
