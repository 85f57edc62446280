#include "counters.h"
#include <iterator>

namespace ptx {
const char* name_of(Kind kind) {
    constexpr const char* names[] = {"integer", "floating", "special", "conversion", "move",      "predicate",
                                     "control", "global",   "shared",  "local",      "parameter", "atomic",
                                     "warp",    "barrier",  "copy",    "tensor"};
    static_assert(std::size(names) == size_t(Kind::count));
    return names[size_t(kind)];
}

}  // namespace ptx
