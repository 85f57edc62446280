#include "kernels/instances.cuh"

INSTANCES_OF_LINEAR(, bf16)
