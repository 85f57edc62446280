// What a run's log tells, for its report.
#pragma once
#include "curve.h"
#include "host/model/config.h"
#include "host/options/options.h"

struct Sample {
    int64_t step;
    std::string text;
};

enum class Ending { unknown, finished, early_stop, stopped };  // stopped: by a signal, to be resumed

struct Story {
    Curve curve;  // without a point, before the first step
    Options options;
    Config config;
    uint64_t parameters = 0;
    int64_t steps = 0;            // that the run is to take; 0: not known
    std::vector<Sample> samples;  // oldest first
    std::vector<double> resumed;  // after which steps
    Ending ending = Ending::unknown;
    bool goes_on = false;  // a process holds the run's directory

    double last_step() const { return curve.steps.empty() ? 0 : curve.steps.back().step; }
};

// Throws Error{input} if there is no log, or it does not begin with the run's flags and model.
Story read_story(const std::string& run);
