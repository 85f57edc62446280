// The command line. Every value is converted strictly, and all problems are reported at once.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>
#include "options.h"

// Throws Error{usage} with a line for every problem; touches nothing.
Options parse(const std::vector<std::string>& args);  // without the program's name
inline Options parse(int argc, char** argv) { return parse({argv + 1, argv + argc}); }

std::string help_text(Command command);

// Takes the saved value of every flag that is not on this command line, then checks as parse does. For --resume.
// Throws Error{input} if `saved` is not what to_json wrote.
void restore(Options& options, const nlohmann::ordered_json& saved);
