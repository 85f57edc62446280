// Steps that are left out because their loss or gradient is far above those before (--spike-window, --spike-factor).
#pragma once
#include <string>
#include <vector>
#include "host/base/json.h"

// The losses and norms of the last steps that counted, and how many were left out since. What is computed of them is
// computed anew each time, from the oldest on: a resumed run has the same bits.
class SpikeWindow {
public:
    struct Rule {
        int window = 0;     // steps; 0: none is left out
        double factor = 0;  // standard deviations above the mean
    };
    // Not before the window is full, nor after as many in a row as it holds: then it begins anew.
    bool is_spike(const Rule& rule, double loss, double norm) const;
    // Counts a step with finite numbers.
    void add(const Rule& rule, double loss, double norm, bool left_out);

    Json to_json() const;
    static SpikeWindow from_json(const Json& json, const std::string& what);  // throws Error{input}, Json::exception

private:
    std::vector<double> losses, norms;
    int left_out_in_a_row = 0;
};
