// Stands in for CUDA's header of this name when kernels are compiled for the CPU: g++ -x c++ -Idev/simt/include.
// Names and meanings are CUDA's; its reference manual is the documentation.
#pragma once
#include "simt/language.h"
#include "simt/math.h"
#include "simt/memory.h"
#include "simt/runtime_api.h"
#include "simt/vector_types.h"
#include "simt/warp.h"
