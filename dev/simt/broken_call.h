// What every function of the runtime begins with: tests make one of them fail (broken.h).
#pragma once
#include "broken.h"
#include "stream.h"

#define SIMT_CALL() \
    if (const int error = simt::error_of_this_call(__func__)) return simt::remember(cudaError_t(error))
