// The commands of train_gpt, one function for each place a model may live.
#pragma once
#include "error.h"
#include "options.h"

Exit train_on_cpu(const Options& options);
Exit sample_on_cpu(const Options& options);
Exit run_command(const Options& options);     // what the command line asks for, where it asks for it
