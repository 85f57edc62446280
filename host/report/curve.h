// The curves of a run, as its log.jsonl tells them.
#pragma once
#include <cmath>
#include <optional>
#include <string>
#include <vector>
#include "host/base/json.h"

enum class LeftOut { no, not_finite, spike };  // a step after which the weights stayed as they were

struct StepPoint {
    double step, tokens, seconds, loss, lr, grad_norm;  // NaN: not finite then
    double tokens_per_s = NAN, mfu = NAN;               // NaN: not known
    LeftOut left_out = LeftOut::no;
};
struct ValidationPoint {
    double step, tokens, seconds, loss;
};

struct Curve {
    std::string name;  // the run's directory
    std::vector<StepPoint> steps;
    std::vector<ValidationPoint> validations;
    std::optional<double> ideal;  // the lowest loss possible, where it is known
};

double number(const Json& line, const char* key);  // NaN: there is none
std::string curve_name(const std::string& run);
void add_line(Curve& curve, const Json& line);  // of the log
// Throws Error{input} if there is no log, or a line of it is none. A last line that is still being written is left out.
Curve read_curve(const std::string& run);
void require_steps(const Curve& curve, const std::string& run);  // Error{input} if it has no point
