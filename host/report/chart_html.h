// A chart of the report: lines in a box that is as wide as its place, with text of its own size at any width, and the
// values at one step below it. Without the page's script those are the last step's; with it, those that a pointer or
// the arrow keys choose (report_script.h).
#pragma once
#include <string>
#include <vector>
#include "chart_points.h"

struct ChartLine {
    std::string kind;  // its class in report_style.h: faint, line, dashed, dots
    std::vector<XY> points;
};
struct ChartValue {
    std::string kind, what, key, text;  // of the line, for people, in the page's data, at the last step
};

struct Chart {
    std::string title, description;  // the latter instead of the picture
    ChartView of;
    std::vector<ChartLine> lines;
    std::vector<ChartValue> values;
    std::string dot;             // the key of the values that the cursor follows
    std::vector<XY> floors;      // y: a line no curve goes below
    std::vector<double> pauses;  // x: where the run was resumed
};

std::string chart_html(const Chart& chart);
