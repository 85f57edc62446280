#include "kernels/instances.cuh"

INSTANCES_OF_LAYERS(, bf16)
