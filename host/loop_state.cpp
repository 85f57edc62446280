// LoopState as JSON, and back.
#include "run.h"

Json to_json(const LoopState& s) {
    return {{"step", s.step}, {"samples", s.samples}, {"skipped", s.skipped}, {"skipped_in_a_row", s.skipped_in_a_row}, {"since_best", s.since_best},
            {"best_val", hex_float(s.best_val)}, {"last_val", hex_float(s.last_val)}, {"log_bytes", s.log_bytes}};
}

LoopState loop_state_from_json(const Json& json, const std::string& what) {
    try {
        LoopState s;
        s.step = json.at("step").get<int64_t>();
        s.samples = json.at("samples").get<uint64_t>();
        s.skipped = json.at("skipped").get<int64_t>();
        s.skipped_in_a_row = json.at("skipped_in_a_row").get<int>();
        if (json.contains("since_best")) s.since_best = json.at("since_best").get<int>();     // older checkpoints have none
        s.best_val = parse_hex_float(json.at("best_val"), what);
        s.last_val = parse_hex_float(json.at("last_val"), what);
        s.log_bytes = json.at("log_bytes").get<uint64_t>();
        return s;
    } catch (const Json::exception& problem) {
        throw Error(Exit::input, what, problem.what(), "resume from another checkpoint");
    }
}
