// Every field of Config by name: what "gpt_cu" in config.json holds, and a run's log.
#pragma once
#include <string>
#include "host/base/json.h"
#include "host/model/config.h"

Json to_json(const Config& config);
Config config_from_json(const Json& json, const std::string& what);  // unknown, missing and ill-typed fields are errors
