// `train_gpt report RUN`: a run as one page of HTML that needs nothing else: no script, no network.
#pragma once
#include <optional>
#include "curve.h"
#include "host/model/config.h"
#include "host/options/options.h"
#include "inspect_model.h"

struct Sample {
    int64_t step;
    std::string text;
};
struct Speed {
    double step, tokens_per_s, mfu;
};  // mfu NaN: not known

// What a run's log tells.
struct Story {
    Curve curve;
    Options options;
    Config config;
    uint64_t parameters = 0;
    std::vector<Sample> samples;  // oldest first
    std::vector<Speed> speeds;
};
Story read_story(const std::string& run);  // throws Error{input} if the run's log does not tell it

// `missing`: why nothing is shown of what the model does inside.
std::string report_page(const Story& story, const std::optional<Inspection>& insides, const std::string& missing);

void write_report(const Options& options);
