// What a model's files say of it besides its weights.
#pragma once
#include <string>
#include <vector>
#include "host/model/config.h"
#include "safetensors.h"

struct SpecialTokens {
    int bos = -1, pad = -1;
    std::vector<int> eos;
};  // -1: none

struct ModelDescription {
    Config config;
    SpecialTokens special;
    safetensors::Dtype dtype = safetensors::Dtype::F32;  // of the weights
    std::vector<int> ends = {};  // what ends a text that is generated: generation_config.json may name more
    std::vector<std::string> ignored_ids = {};  // "eos_token_id 50256": beyond the vocabulary
    std::vector<std::string> warnings = {};     // a line each, to be said once
    std::string dropout_problem = {};           // why its dropout is none that training has; "": it has it
};
