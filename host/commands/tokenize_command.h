// `train_gpt tokenize`: text to ids, ids to text, files to shards, text to a tokenizer.
#pragma once
#include "host/base/error.h"
#include "host/options/options.h"

Exit tokenize(const Options& options);
