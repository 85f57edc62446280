// A forecast as tables for people. Lines that do not begin with a blank are headings.
#pragma once
#include <optional>
#include <string>
#include <vector>
#include "forecast.h"

// `capacity`: bytes of a GPU; `tokens`: of the whole training.
std::string forecast_text(const Forecast& forecast, uint64_t capacity, std::optional<double> tokens);

struct ForecastRow {
    int ranks;
    std::optional<Forecast> forecast;  // none: it does not fit
};
std::string forecast_table(const std::vector<ForecastRow>& rows, std::optional<double> tokens);
std::string tokens_text(double tokens);  // 100e9
