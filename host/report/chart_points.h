// What charts are made of: points, ranges and the numbers along axes.
#pragma once
#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

struct XY {
    double x, y;  // y NaN: there is none
};

struct Extent {
    double low = INFINITY, high = -INFINITY;
    void add(double v) {
        if (std::isfinite(v)) low = std::min(low, v), high = std::max(high, v);
    }
    // With a little room below and above, and not empty.
    Extent padded(double below, double above) const;
    Extent padded(double share) const { return padded(share, share); }
};

struct ChartView {
    Extent x, y;
};
struct Box {
    double left, right, top, bottom;  // on paper; y runs from bottom to top
    double px(double v, const ChartView& w) const {
        return left + (v - w.x.low) / (w.x.high - w.x.low) * (right - left);
    }
    double py(double v, const ChartView& w) const {
        return bottom - (v - w.y.low) / (w.y.high - w.y.low) * (bottom - top);
    }
};
// What draws the line: M and L of SVG. A point without y interrupts it.
std::string path_of(const std::vector<XY>& points, const ChartView& window, const Box& box);

// The end of falling lines, closer: where the whole shows little but their fall. `floors` belong to it. Nothing if
// there are too few points, or the whole shows them well.
std::optional<ChartView> closer_look(const ChartView& whole, const std::vector<std::vector<XY>>& lines,
                                     const std::vector<double>& floors);

// 0, 20, 40, ...: about `many` numbers with one or two digits that are not zero.
std::vector<double> ticks(const Extent& range, int many);

// Means of neighbours, or the least and the most of them, where there are more points than a screen can show.
std::vector<XY> thinned(const std::vector<XY>& points);
std::vector<XY> envelope(const std::vector<XY>& points);
// What lies between the noise: the mean over a fiftieth of the run around each point, as far to both sides,
// so that it does not lag.
std::vector<XY> smoothed(std::vector<XY> points);
