#include "kernels/instances.cuh"

INSTANCES_OF_ATTENTION(, bf16)
