// Before the first step: what must be the same for all ranks, and is found out by each.
#pragma once
#include <string>
#include "host/base/json.h"
#include "world.h"

// Throws Error{device} on the first rank, naming the first other one whose facts are not the same, and what differs;
// the others wait to be ended. `reason` and `hint` go around it.
void require_same(const World& world, const Json& facts, const std::string& reason, const std::string& hint);
