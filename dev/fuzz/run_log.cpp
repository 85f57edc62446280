// log.jsonl, which plot and report read.
#include "fuzz.h"
#include "host/report/curve_svg.h"
#include "host/report/report.h"

void fuzz(std::string_view input) {
    static const FuzzDirectory folder;
    folder.write("log.jsonl", input);
    Curve curve;
    if (accepts([&] { curve = read_curve(folder.path); }))
        for (const PlotAxis axis : {PlotAxis::steps, PlotAxis::tokens, PlotAxis::seconds})
            accepts([&] { plot_svg({curve}, axis); });
    accepts([&] { report_page(read_story(folder.path), {{}, "no checkpoint"}); });
}
