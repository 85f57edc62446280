// A forecast as tables for people. Lines that do not begin with a blank are headings.
#pragma once
#include <optional>
#include <string>
#include <vector>
#include "forecast.h"

std::string forecast_text(const Forecast& forecast, std::optional<double> tokens);

struct ForecastRow {
    int ranks;
    std::optional<Forecast> forecast;  // none: it does not fit
};
std::string forecast_table(const std::vector<ForecastRow>& rows, std::optional<double> tokens);
std::string tokens_text(double tokens);  // 100e9
