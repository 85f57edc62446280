#include "run_on_gpu.cuh"

template Exit run_on_gpu<bf16>(const Options& options, const std::string& dtype, const World& world);
