// The charts of a report, and the numbers behind them.
#pragma once
#include <string>
#include <vector>
#include "story.h"

std::string loss_charts(const Story& story);  // the whole run, and its end closer
std::string rate_and_norm_charts(const Story& story);
std::string speed_chart(const Story& story);  // "" if it is not known
double median_speed(const Story& story);      // tokens a second; 0: not known

// What the page's script reads: of steps (all, or of a long run some, first and last and those left out among them) the
// numbers of the log by name, null where there is none, and all validations.
Json chart_data(const Story& story);
