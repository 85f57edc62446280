// train, sample and eval with the model on the CPU.
#pragma once
#include <string>
#include "host/base/error.h"
#include "host/options/options.h"
#include "host/world/world.h"

// `why` there is no GPU. Throws Error{device} for what only a GPU can do.
Exit run_on_cpu(const Options& options, const std::string& why, const World& world);
