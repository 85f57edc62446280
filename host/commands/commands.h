// The commands of train_gpt, wherever the model lives.
#pragma once
#include <string>
#include <vector>
#include "host/base/error.h"
#include "host/options/options.h"
#include "host/world/world.h"
#include "run_on_gpu.h"

// What the command line asks for, where it asks for it. Training joins the ranks that were started with this one.
Exit run_command(const Options& options, World& world);
inline Exit run_command(const Options& options) {
    World world;
    return run_command(options, world);
}

// All of main: every error becomes a line on stderr and an exit code. `args` are without the program's name.
int run_program(const std::vector<std::string>& args);
