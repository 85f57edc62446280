// Matrices in shared memory (include/simt/asynchronous.h has their descriptors).
#pragma once
#include <string>
#include "asynchronous.h"

namespace simt {

// 16 columns of some rows: out[column * pitch + row].
void read_matrix(uint64_t descriptor, bool across, unsigned first_row, unsigned rows, float* out, unsigned pitch);
// What is wrong with it, or nothing; adds what it reads to `chunks`.
std::string wrong_descriptor(uint64_t descriptor, bool across, unsigned rows, Chunks& chunks);

}  // namespace simt
