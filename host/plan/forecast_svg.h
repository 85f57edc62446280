// A forecast as a picture over the number of ranks: tokens a second, and where a step's time goes.
#pragma once
#include <string>
#include <vector>
#include "forecast_text.h"

std::string forecast_svg(const std::string& model, const std::vector<ForecastRow>& rows);
