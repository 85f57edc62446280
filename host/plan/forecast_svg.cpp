#include "forecast_svg.h"
#include <fmt/core.h>
#include <algorithm>
#include "host/base/html.h"
#include "host/base/progress.h"
#include "host/base/svg.h"

namespace {

constexpr double width = 960, left = 84, right = 894, height = 620;

std::string text(double x, double y, const char* anchor, const std::string& words, const char* kind = "") {
    return fmt::format("<text{} x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", kind, x, y, anchor,
                       escaped(words));
}

// Powers of ten and half and double of them, on a logarithmic axis.
struct Rates {
    double top, bottom, low, high;
    Rates(double top, double bottom, double low, double high)
        : top(top), bottom(bottom), low(low / 1.3), high(high * 1.3) {}
    double y(double v) const { return bottom - std::log(v / low) / std::log(high / low) * (bottom - top); }
    std::string grid() const {
        std::string out;
        for (double power = std::pow(10, std::floor(std::log10(low))); power < high; power *= 10)
            for (const double v : {power, 2 * power, 5 * power})
                if (v >= low && v <= high)
                    out += fmt::format("<path class=\"grid\" d=\"M{} {:.1f}H{}\"/>", left, y(v), right) +
                           text(left - 8, y(v) + 4, "end", svg::label(v));
        return out;
    }
};

struct Column {
    double x;
    const Forecast* forecast;
};

std::string speeds(const std::vector<Column>& columns, const Rates& axis) {
    const Forecast& first = *columns[0].forecast;
    const double of_one = first.tokens_per_second() / first.cluster.ranks;
    std::string path, ideal, points;
    for (const auto& [x, f] : columns) {
        const char pen = path.empty() ? 'M' : 'L';
        path += fmt::format("{}{:.1f} {:.1f}", pen, x, axis.y(f->tokens_per_second()));
        ideal += fmt::format("{}{:.1f} {:.1f}", pen, x, axis.y(of_one * f->cluster.ranks));
        points += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3.5\" fill=\"{}\"/>", x,
                              axis.y(f->tokens_per_second()), svg::colors[0]) +
                  text(x, axis.y(f->tokens_per_second()) + 20, "middle",
                       short_count(f->tokens_per_second()) + fmt::format(" · {:.0f}%", 100 * f->mfu()));
    }
    return fmt::format(
               "<path class=\"ideal\" d=\"{}\"/>\n<path d=\"{}\" fill=\"none\" stroke=\"{}\" "
               "stroke-width=\"1.8\"/>\n",
               ideal, path, svg::colors[0]) +
           points;
}

struct Share {
    const char* name;
    double (*seconds)(const StepSeconds&);
};
constexpr std::array shares = {Share{"matmuls", [](const StepSeconds& s) { return s.matmuls; }},
                               Share{"links", [](const StepSeconds& s) { return s.link(); }},
                               Share{"attention", [](const StepSeconds& s) { return s.attention; }},
                               Share{"launches", [](const StepSeconds& s) { return s.launches; }},
                               Share{"optimizer", [](const StepSeconds& s) { return s.optimizer; }},
                               Share{"kernels of memory", [](const StepSeconds& s) { return s.memory; }}};
constexpr std::array from_below = {0, 2, 5, 4, 3, 1};  // links at the top

std::string bars(const std::vector<Column>& columns, double wide, double top, double bottom) {
    std::string out;
    for (const auto& [x, f] : columns) {
        double y = bottom;
        for (const int i : from_below) {
            const double tall = shares[size_t(i)].seconds(f->seconds) / f->step() * (bottom - top);
            y -= tall;
            out += fmt::format("<rect x=\"{:.1f}\" y=\"{:.2f}\" width=\"{:.1f}\" height=\"{:.2f}\" fill=\"{}\"/>",
                               x - wide / 2, y, wide, tall, svg::colors[size_t(i)]);
        }
        out += "\n" + text(x, bottom + 18, "middle", std::to_string(f->cluster.ranks)) +
               text(x, top - 6, "middle", fmt::format("{:.3g} ms", f->step() * 1e3));
    }
    return out;
}

std::string legend(double y) {
    std::string out;
    double x = left;
    for (const int i : from_below) {
        out += fmt::format("<rect x=\"{}\" y=\"{}\" width=\"12\" height=\"12\" fill=\"{}\"/>", x, y - 10,
                           svg::colors[size_t(i)]) +
               text(x + 18, y, "start", shares[size_t(i)].name);
        x += 148;
    }
    return out;
}

}  // namespace

std::string forecast_svg(const std::string& model, const std::vector<ForecastRow>& rows) {
    std::vector<const Forecast*> fitting;
    for (const ForecastRow& row : rows)
        if (row.forecast) fitting.push_back(&*row.forecast);
    std::string out = svg::begin(width, height);
    if (fitting.empty()) return out + "</svg>\n";
    std::vector<Column> columns;
    const double step = (right - left) / double(fitting.size());
    for (const Forecast* f : fitting) columns.push_back({left + step * (double(columns.size()) + 0.5), f});

    const Forecast &first = *fitting.front(), &last = *fitting.back();
    const double of_one = first.tokens_per_second() / first.cluster.ranks;
    const Rates axis(66, 330, std::min(first.tokens_per_second(), last.tokens_per_second()),
                     of_one * last.cluster.ranks);
    out += text(left, 24, "start",
                fmt::format("{} on {}, {} tokens a step", model, last.cluster.gpu->name,
                            grouped(uint64_t(last.sequences()) * uint64_t(last.plan.config.T))),
                " class=\"title\"");
    out += text(left, 52, "start", "tokens a second · MFU; dotted: as many times as fast as one", " class=\"title\"");
    out += axis.grid() + speeds(columns, axis);
    out += text(left, 372, "start", "a step's time, and where it goes", " class=\"title\"") + legend(394);
    out += bars(columns, std::min(step * 0.6, 70.0), 424, 560);
    return out + text((left + right) / 2, 600, "middle", "GPUs") + "</svg>\n";
}
