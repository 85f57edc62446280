// What --batch auto stands for.
#pragma once
#include <string>
#include "arrange.h"

// In bf16, which is on a GPU, what takes the least time on an H100 (forecast.h); in fp32 what has the fewest
// operations. The same memory gives the same plan. Throws Error{device} if nothing fits.
Plan automatic_plan(const Arrange& wanted);
std::string arrangement_text(const Plan& plan, int sequences);  // "4 at a time with --recompute none"
