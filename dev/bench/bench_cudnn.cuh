// cuDNN's attention at the shapes of ours, to be timed beside it; in builds with USE_CUDNN=1 (Makefile).
#pragma once
#include "bench_memory.cuh"
#include "host/model/config.h"

#ifdef GPT_CUDNN
constexpr bool cudnn_built = true;
#else
constexpr bool cudnn_built = false;
#endif

enum class Pass { forward, backward };

// Runs it once, on tensors that `m` declares. Builds without cuDNN give none. Throws Error{device} with cuDNN's reason
// where it cannot do the shape.
std::function<void(const Gpu<bf16>&)> cudnn_attention(BenchMemory& m, Pass pass, const Config& c, int B);
