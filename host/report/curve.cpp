#include "curve.h"
#include <filesystem>
#include <limits>
#include "host/base/files.h"
#include "host/run/run_log.h"

double number(const Json& line, const char* key) {
    const auto at = line.find(key);
    return at != line.end() && at->is_number() ? at->get<double>() : std::numeric_limits<double>::quiet_NaN();
}

std::string curve_name(const std::string& run) {
    std::string name = std::filesystem::path(run).lexically_normal().string();
    if (name.size() > 1 && name.ends_with('/')) name.pop_back();
    return name;
}

void add_line(Curve& curve, const Json& line) {
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
        const LeftOut left_out = !line.contains("left_out")    ? LeftOut::no
                                 : line["left_out"] == "spike" ? LeftOut::spike
                                                               : LeftOut::not_finite;
        curve.steps.push_back({step, number(line, "tokens"), seconds, number(line, "loss"), number(line, "lr"),
                               number(line, "grad_norm"), number(line, "tokens_per_s"), number(line, "mfu"), left_out});
    }
}

void require_steps(const Curve& curve, const std::string& run) {
    if (curve.steps.empty() && curve.validations.empty())
        throw Error(Exit::input, run, "its log.jsonl has no step yet", "wait for the first");
}

Curve read_curve(const std::string& run) {
    Curve curve;
    curve.name = curve_name(run);
    read_log(run, [&](const Json& line) { add_line(curve, line); });
    require_steps(curve, run);
    return curve;
}
