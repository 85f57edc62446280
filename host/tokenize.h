// `train_gpt tokenize`: text to ids, ids to text, files to shards, text to a tokenizer.
#pragma once
#include "error.h"
#include "options.h"

Exit tokenize(const Options& options);
