#include "counters.h"
#include <iterator>

namespace ptx {
namespace {

void add(Traffic& t, const Traffic& other) {
    t.requests += other.requests, t.sectors += other.sectors;
    t.useful += other.useful, t.once += other.once, t.scratch += other.scratch;
}

}  // namespace

const char* name_of(Kind kind) {
    constexpr const char* names[] = {"integer", "floating", "special", "conversion", "move",      "predicate",
                                     "control", "global",   "shared",  "local",      "parameter", "atomic",
                                     "warp",    "barrier",  "copy",    "tensor"};
    static_assert(std::size(names) == size_t(Kind::count));
    return names[size_t(kind)];
}

void Counts::add(const Counts& other) {
    instructions += other.instructions, lanes += other.lanes;
    branches += other.branches, divergent += other.divergent;
    ptx::add(read, other.read), ptx::add(written, other.written);
    shared_requests += other.shared_requests, wavefronts += other.wavefronts, phases += other.phases;
    operations += other.operations;
}

}  // namespace ptx
