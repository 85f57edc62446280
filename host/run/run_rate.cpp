#include "run_rate.h"
#include <fmt/core.h>
#include <climits>
#include "host/base/error.h"
#include "host/options/flag_table.h"
#include "host/options/model_options.h"
#include "host/options/options_parse.h"

namespace {

LearningRate rate_of(const Options& options, const Config& config, int64_t steps) {
    const double peak = peak_lr(options, config);
    return {.peak = peak,
            .minimum = std::min(peak, options.min_lr.value_or(peak / 10)),
            .warmup = options.warmup.value_or(int(steps / 20)),
            .steps = int(steps),
            .schedule = options.schedule};
}

LearningRate rate_from_json(const Json& json, const std::string& what) {
    try {
        const auto count = [&](const char* key) { return int(parse_count(json.at(key), what + ": " + key, INT_MAX)); };
        LearningRate rate{.peak = parse_hex_float(json.at("peak"), what),
                          .minimum = parse_hex_float(json.at("minimum"), what),
                          .warmup = count("warmup"),
                          .steps = count("steps"),
                          .first = count("first"),
                          .from = parse_hex_float(json.at("from"), what)};
        const auto schedule = from_name<Schedule>(json.at("schedule").get<std::string>());
        if (!schedule) throw Error(Exit::input, what, "schedule is not known", "resume from another checkpoint");
        rate.schedule = *schedule;
        return rate;
    } catch (const Json::exception& problem) {
        throw Error(Exit::input, what, problem.what(), "resume from another checkpoint");
    }
}

std::string text_of(const LearningRate& rate) {
    std::string text = fmt::format("rate    from step {} on: ", rate.first + 1);
    if (rate.warmup > 0) text += fmt::format("up to {:.3g} in step {}, then ", rate.peak, rate.first + rate.warmup);
    if (rate.schedule == Schedule::constant || rate.peak == rate.minimum)
        return text +
               fmt::format("{:.3g} to step {}{}", rate.peak, rate.steps,
                           rate.warmup > 0 ? "" : "; --warmup N climbs again, --schedule and --lr choose another");
    return text + fmt::format("{:.3g}, by {} to {:.3g} after step {}", rate.peak, name_of(rate.schedule), rate.minimum,
                              rate.steps);
}

}  // namespace

LearningRate rate_of(const RunSetup& run) { return rate_of(run.options, run.config, run.steps); }

ResumedRate resumed_rate(const RunSetup& run, const Json& state, int64_t step, const std::string& what) {
    const Options& now = run.options;
    Options had = default_options(Command::train);
    restore(had, state.value("options", Json::object()));
    const LearningRate before =
        state.contains("rate") ? rate_from_json(state["rate"], what) : rate_of(had, run.config, steps_of(had, run));
    const bool steps = run.steps != before.steps, lr = peak_lr(now, run.config) != peak_lr(had, run.config),
               minimum = now.min_lr != had.min_lr, schedule = now.schedule != had.schedule,
               warmup = now.warmup && now.warmup != had.warmup && (before.first > 0 || *now.warmup != before.warmup);
    if (!steps && !lr && !minimum && !schedule && !warmup) return {before, ""};

    LearningRate rate{.steps = int(run.steps), .schedule = now.schedule, .first = int(step)};
    rate.from = step > 0 ? before.at(int(step) - 1) : 0;
    const int left = before.first + before.warmup - int(step);  // of the warm-up
    rate.warmup = warmup ? *now.warmup : std::max(left, 0);
    rate.peak = lr || warmup ? peak_lr(now, run.config) : left > 0 ? before.peak : before.at(int(step));
    rate.minimum = std::min(rate.peak, now.min_lr ? *now.min_lr : lr ? rate.peak / 10 : before.minimum);
    if (warmup && step + rate.warmup > run.steps)
        throw Error(Exit::usage, "--warmup",
                    fmt::format("{} steps are more than the {} that are left", rate.warmup,
                                std::max<int64_t>(run.steps - step, 0)),
                    "give more --steps");
    return {rate, text_of(rate)};
}

Json to_json(const LearningRate& rate) {
    return {{"peak", hex_float(rate.peak)}, {"minimum", hex_float(rate.minimum)}, {"warmup", rate.warmup},
            {"steps", rate.steps},          {"schedule", name_of(rate.schedule)}, {"first", rate.first},
            {"from", hex_float(rate.from)}};
}
