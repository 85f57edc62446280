// Models for transformers to open.      ./test_gpt --export DIR
// dev/oracle/check_export.py runs it and compares what transformers makes of them.
#pragma once
#include <string>

// Saves the golden models, read and written again, and the toy models, one directory each, with the logits we compute.
int export_models(const std::string& directory);
