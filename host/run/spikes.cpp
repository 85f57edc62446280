#include "spikes.h"
#include <climits>
#include <cmath>
#include "host/base/error.h"

namespace {

bool is_far_above(const std::vector<double>& last, double factor, double x) {
    const double n = double(last.size());
    double sum = 0, squares = 0;
    for (const double value : last) sum += value;
    const double mean = sum / n;
    for (const double value : last) squares += (value - mean) * (value - mean);
    return x > mean + factor * std::sqrt(squares / n);
}

void push(std::vector<double>& last, int most, double x) {
    last.push_back(x);
    if (last.size() > size_t(most)) last.erase(last.begin(), last.end() - most);
}

}  // namespace

bool SpikeWindow::is_spike(const Rule& rule, double loss, double norm) const {
    if (rule.window == 0 || losses.size() < size_t(rule.window)) return false;
    return is_far_above(losses, rule.factor, loss) || is_far_above(norms, rule.factor, norm);
}

void SpikeWindow::add(const Rule& rule, double loss, double norm, bool left_out) {
    if (rule.window == 0) return;
    if (!left_out) {
        left_out_in_a_row = 0;
        push(losses, rule.window, loss), push(norms, rule.window, norm);
    } else if (++left_out_in_a_row == rule.window) {  // not a spike: it stays so
        *this = {};
    }
}

Json SpikeWindow::to_json() const {
    Json json{{"losses", Json::array()}, {"norms", Json::array()}, {"left_out_in_a_row", left_out_in_a_row}};
    for (const double x : losses) json["losses"].push_back(hex_float(x));
    for (const double x : norms) json["norms"].push_back(hex_float(x));
    return json;
}

SpikeWindow SpikeWindow::from_json(const Json& json, const std::string& what) {
    SpikeWindow window;
    const auto read = [&](const char* key, std::vector<double>& into) {
        for (const Json& x : json.at(key)) into.push_back(parse_hex_float(x, what));
    };
    read("losses", window.losses), read("norms", window.norms);
    if (window.losses.size() != window.norms.size())
        throw Error(Exit::input, what, "holds more losses than norms", "resume from another checkpoint");
    window.left_out_in_a_row = int(parse_count(json.at("left_out_in_a_row"), what + ": left_out_in_a_row", INT_MAX));
    return window;
}
