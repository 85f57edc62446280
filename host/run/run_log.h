// A run's log.jsonl, line by line.
#pragma once
#include <functional>
#include "host/base/json.h"

// Throws Error{input} if there is no log, or a line of it is no object.
// A last line that is still being written is left out.
void read_log(const std::string& run, const std::function<void(const Json& line)>& take);
