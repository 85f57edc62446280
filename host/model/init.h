// Initial weights: a pure function of seed, tensor and element,
// so the same on every device and for every layout of threads.
#pragma once
#include <cstdint>
#include "config.h"
#include "layout.h"

// Fills values (parameter.size()). `index` is the parameter's place in the layout. Norms' weights are 1,
// biases 0, and matrices
//   gpt2   N(0, init_std), projections onto the residual stream divided by sqrt(2L)   (GPT-2, nanoGPT)
//   plain  N(0, init_std)                                                             (Llama, Qwen in Hugging Face)
//   cs336  N(0, 2 / (in + out)), embeddings N(0, 1), both cut off at 3 sigma          (CS336's course model)
void initial_values(float* values, const Parameter& parameter, int index, const Config& config, uint64_t seed);
