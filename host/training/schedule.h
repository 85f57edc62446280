// Learning rate of a step: linear warm-up, then one of four ways down to the minimum.
#pragma once
#include <algorithm>
#include <cmath>

enum class Schedule { cosine, linear, constant, wsd };  // wsd: warm-up, stable, decay over the last fifth

struct LearningRate {
    double peak = 1e-3, minimum = 0;
    int warmup = 0, steps = 1;  // of the whole run
    Schedule schedule = Schedule::cosine;
    int first = 0;    // the step it begins at: not 0 where a run was resumed with another schedule
    double from = 0;  // the rate before that

    // step counts from 0; warm-up reaches the peak in its last step, the other shapes reach the minimum after the last.
    double at(int step) const {
        if (step < first + warmup) return from + (peak - from) * (step - first + 1) / warmup;
        const double done =
            std::min(1.0, std::max(0.0, double(step - first - warmup)) / std::max(1, steps - first - warmup));
        switch (schedule) {
            case Schedule::cosine: return minimum + (peak - minimum) * 0.5 * (1 + std::cos(M_PI * done));
            case Schedule::linear: return minimum + (peak - minimum) * (1 - done);
            case Schedule::constant: return peak;
            case Schedule::wsd:
                return done < 0.8 ? peak : minimum + (peak - minimum) * (1 - std::sqrt((done - 0.8) / 0.2));
        }
        return peak;
    }
};
