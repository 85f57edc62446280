// The commands of train_gpt, wherever the model lives.
#pragma once
#include "host/base/error.h"
#include "host/options/options.h"
#include "run_on_gpu.h"

Exit run_command(const Options& options);  // what the command line asks for, where it asks for it
