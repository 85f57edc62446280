// The curves of a run, as its log.jsonl tells them.
#pragma once
#include <optional>
#include <string>
#include <vector>

struct StepPoint {
    double step, tokens, seconds, loss, lr, grad_norm;
};  // NaN: not finite then
struct ValidationPoint {
    double step, tokens, seconds, loss;
};

struct Curve {
    std::string name;  // the run's directory
    std::vector<StepPoint> steps;
    std::vector<ValidationPoint> validations;
    std::optional<double> ideal;  // the lowest loss possible, where it is known
};

// Throws Error{input} if there is no log, or a line of it is none. A last line that is still being written is left out.
Curve read_curve(const std::string& run);
