// How training comes to have several ranks.
#pragma once
#include <optional>
#include "host/base/error.h"
#include "host/options/options.h"
#include "host/world/world.h"

// To train, joins the ranks that were started with this one. Where --ranks asks for some that nobody has started,
// starts them and returns how they ended. Throws Error{usage, device}.
std::optional<Exit> become_ranks(const Options& options, World& world);
