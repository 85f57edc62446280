// Curves as a picture.
#pragma once
#include <string>
#include <vector>
#include "curve.h"
#include "host/options/options.h"

// Losses above, learning rate and gradient norm below; light or dark as the reader's system is.
std::string plot_svg(const std::vector<Curve>& curves, PlotAxis axis);
