#include "run_on_gpu.cuh"

template Exit run_on_gpu<float>(const Options& options, const std::string& dtype, const World& world);
