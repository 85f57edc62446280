// A launch: what all blocks of a grid know of it.
#pragma once
#include <cstddef>
#include <string>
#include "include/simt/language.h"
#include "include/simt/runtime_api.h"
#include "order.h"

namespace simt {

struct Launch {
    std::string kernel, mangled;  // its name
    const void* function;
    dim3 grid, block, cluster;  // cluster: of how many blocks, 1 x 1 x 1 without
    size_t shared_bytes;
    Order order;
    Call call;
    mutable unsigned run;       // its number among all that have begun; a graph's begin more than once
    mutable char begins, ends;  // addresses that stand for these moments in ThreadSanitizer's books
};

}  // namespace simt
