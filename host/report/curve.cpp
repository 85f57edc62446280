#include "curve.h"
#include <filesystem>
#include <limits>
#include "host/base/files.h"
#include "host/run/run_log.h"

namespace {

double number(const Json& line, const char* key) {
    const auto at = line.find(key);
    return at != line.end() && at->is_number() ? at->get<double>() : std::numeric_limits<double>::quiet_NaN();
}

void take_line(Curve& curve, const Json& line) {
    if (line.contains("run")) {
        if (const double ideal = number(line, "ideal_loss"); ideal > 0) curve.ideal = ideal;
        return;
    }
    const StepPoint last = curve.steps.empty() ? StepPoint{} : curve.steps.back();
    const double step = number(line, "step");
    if (line.contains("val_loss")) {
        curve.validations.push_back({step, last.tokens, last.seconds, number(line, "val_loss")});
    } else if (line.contains("loss")) {  // its time stands for the steps that were not logged
        const double seconds = last.seconds + number(line, "ms") / 1000 * (step - last.step);
        curve.steps.push_back({step, number(line, "tokens"), seconds, number(line, "loss"), number(line, "lr"),
                               number(line, "grad_norm")});
    }
}

}  // namespace

Curve read_curve(const std::string& run) {
    Curve curve;
    curve.name = std::filesystem::path(run).lexically_normal().string();
    if (curve.name.size() > 1 && curve.name.ends_with('/')) curve.name.pop_back();
    read_log(run, [&](const Json& line) { take_line(curve, line); });
    if (curve.steps.empty() && curve.validations.empty())
        throw Error(Exit::input, run, "its log.jsonl has no step yet", "wait for the first");
    return curve;
}
