// For people who want to watch a warp: PTX_TRACE=PART_OF_A_KERNELS_NAME, PTX_LANES=0:3 (dev/doc/ptx.md).
#pragma once
#include "warp.h"

namespace ptx {

Mask traced_lanes(const std::string& kernel);      // 0: it is not traced
void trace(Warp&, const Instruction&, Mask done);  // prints an instruction, and what it left in these lanes

}  // namespace ptx
