#include "loop_state.h"
#include <climits>
#include "host/base/error.h"

Json to_json(const LoopState& s) {
    return {{"step", s.step},
            {"samples", s.samples},
            {"skipped", s.skipped},
            {"skipped_in_a_row", s.skipped_in_a_row},
            {"spikes", s.spikes},
            {"window", s.window.to_json()},
            {"since_best", s.since_best},
            {"best_step", s.best_step},
            {"best_val", hex_float(s.best_val)},
            {"last_val", hex_float(s.last_val)},
            {"log_bytes", s.log_bytes}};
}

LoopState loop_state_from_json(const Json& json, const std::string& what) {
    const auto number = [&](const char* key, int64_t most = INT64_MAX) {
        return parse_count(json.at(key), what + ": " + key, most);
    };
    try {
        LoopState s;
        s.step = number("step");
        s.samples = uint64_t(number("samples"));
        s.skipped = number("skipped");
        s.skipped_in_a_row = int(number("skipped_in_a_row", INT_MAX));
        if (json.contains("window")) {  // older checkpoints have none
            s.spikes = number("spikes");
            s.window = SpikeWindow::from_json(json.at("window"), what);
        }
        if (json.contains("since_best"))
            s.since_best = int(number("since_best", INT_MAX));  // older checkpoints have none
        if (const Json step = json.value("best_step", Json(-1)); step != -1) s.best_step = number("best_step");
        s.best_val = parse_hex_float(json.at("best_val"), what);
        s.last_val = parse_hex_float(json.at("last_val"), what);
        s.log_bytes = uint64_t(number("log_bytes"));
        return s;
    } catch (const Json::exception& problem) {
        throw Error(Exit::input, what, problem.what(), "resume from another checkpoint");
    }
}
