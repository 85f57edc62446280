// All flags: one table that parsing, --help, the log and the checkpoint walk.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>
#include "flag.h"
#include "options.h"

const std::vector<Flag>& flags();  // in the order of --help
const Flag* find_flag(const std::string& name, Command command);

Options default_options(Command command);
// Every flag of the command with its value, by name; null: not given.
nlohmann::ordered_json to_json(const Options& options);
