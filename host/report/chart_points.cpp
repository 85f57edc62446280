#include "chart_points.h"
#include <fmt/core.h>
#include <algorithm>

namespace {

constexpr size_t most_points = 800;  // of a line: what a screen can show

// The part of n points that becomes point i of the picture.
struct Bucket {
    size_t begin, end;
    Bucket(size_t i, size_t n, size_t buckets) : begin(i * n / buckets), end((i + 1) * n / buckets) {}
};

}  // namespace

Extent Extent::padded(double below, double above) const {
    if (!(low <= high)) return {0, 1};
    if (low == 0 && high == 0) return {0, 1};
    if (low == high) {
        const double room = std::max(std::abs(high), 1e-12) * 0.5;
        return {low - room, high + room};
    }
    return {low - below * (high - low), high + above * (high - low)};
}

std::string path_of(const std::vector<XY>& points, const ChartView& window, const Box& box) {
    std::string d;
    bool pen = false;
    for (const XY& p : points) {
        if (std::isfinite(p.y))
            d += fmt::format("{}{:.1f} {:.1f}", pen ? "L" : "M", box.px(p.x, window), box.py(p.y, window));
        pen = std::isfinite(p.y);
    }
    return d;
}

std::optional<ChartView> closer_look(const ChartView& whole, const std::vector<std::vector<XY>>& lines,
                                     const std::vector<double>& floors) {
    constexpr size_t fewest = 20;  // points
    const auto size = [](const Extent& e) { return e.high - e.low; };
    for (const double part : {0.2, 0.1, 0.05, 0.35}) {
        ChartView end{{whole.x.low + part * size(whole.x), whole.x.high}, {}};
        size_t points = 0;
        for (const std::vector<XY>& line : lines)
            for (const XY& p : line)
                if (p.x >= end.x.low && std::isfinite(p.y)) end.y.add(p.y), points++;
        if (points < fewest) return {};
        for (const double floor : floors) end.y.add(floor);
        end.y = end.y.padded(0.12, 0.08);
        if (size(end.y) * 3 < size(whole.y)) return end;
    }
    return {};
}

std::vector<double> ticks(const Extent& r, int many) {
    const double rough = (r.high - r.low) / many, power = std::pow(10, std::floor(std::log10(rough)));
    const double step = power * (rough / power < 1.5 ? 1 : rough / power < 3.5 ? 2 : rough / power < 7.5 ? 5 : 10);
    const double first = std::ceil(r.low / step - 1e-9);
    std::vector<double> all;
    for (int i = 0; i <= 4 * many;
         i++)  // where numbers are so large that a step makes none of them larger, it ends too
        if (const double v = (first + i) * step; v <= r.high + 1e-9 * step) all.push_back(v == 0 ? 0 : v);
    return all;
}

std::vector<XY> thinned(const std::vector<XY>& points) {
    const size_t n = points.size();
    if (n <= most_points) return points;
    std::vector<XY> out;
    for (size_t i = 0; i < most_points; i++) {
        const Bucket bucket(i, n, most_points);
        XY sum{};
        int known = 0;
        for (size_t k = bucket.begin; k < bucket.end; k++)
            if (std::isfinite(points[k].y)) sum.x += points[k].x, sum.y += points[k].y, known++;
        out.push_back(known ? XY{sum.x / known, sum.y / known} : XY{points[bucket.begin].x, NAN});
    }
    return out;
}

std::vector<XY> envelope(const std::vector<XY>& points) {
    const size_t n = points.size(), buckets = most_points / 2;
    if (n <= most_points) return points;
    std::vector<XY> out;
    const auto rank = [&](size_t i) { return std::isfinite(points[i].y) ? points[i].y : NAN; };
    for (size_t i = 0; i < buckets; i++) {
        const Bucket bucket(i, n, buckets);
        size_t least = bucket.begin, most = bucket.begin;
        for (size_t k = bucket.begin; k < bucket.end; k++) {
            if (std::isnan(rank(least)) || rank(k) < rank(least)) least = k;
            if (std::isnan(rank(most)) || rank(k) > rank(most)) most = k;
        }
        out.push_back(points[std::min(least, most)]);
        if (least != most) out.push_back(points[std::max(least, most)]);
    }
    return out;
}

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
