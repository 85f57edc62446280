// A run's learning rate, and what becomes of it when the run is resumed with other flags.
//
// A schedule that was begun is kept. Flags that change it (--steps, --epochs, --lr, --min-lr, --schedule, --warmup)
// begin another one at the step that is resumed, from the rate there: nothing before it is stretched, and the rate does
// not leap unless --lr says so. A warm-up that was not over goes on as it was; --warmup climbs again.
#pragma once
#include <string>
#include "host/base/json.h"
#include "host/training/schedule.h"
#include "run_setup.h"

LearningRate rate_of(const RunSetup& run);  // from the first step

struct ResumedRate {
    LearningRate rate;
    std::string change;  // what it will do, for people; "": as before
};
// Of a run that stands at `step` and had this state. Throws Error{usage, input}.
ResumedRate resumed_rate(const RunSetup& run, const Json& state, int64_t step, const std::string& what);

Json to_json(const LearningRate& rate);
