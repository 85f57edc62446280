// `train_gpt export`: a trained model as a file of another program.
#pragma once
#include "host/base/error.h"
#include "host/options/options.h"

// Writes the GGUF file that --gguf names, which appears complete or not at all; only another GGUF file is replaced, and
// only on request. Throws Error.
Exit export_gguf(const Options& options);
