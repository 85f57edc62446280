// A GPU that does some kernel wrong, for tests of what is done about it: so do, while this lives, all launches of
// kernels with `name` in theirs (template arguments included).
#pragma once
#include <string>

namespace simt {

class Broken {
public:
    enum class Way { leaves_out_a_block, is_refused, breaks_down };
    explicit Broken(const std::string& name, Way way = Way::leaves_out_a_block);
    ~Broken();
    Broken(const Broken&) = delete;
};

bool is_broken(const std::string& kernel, Broken::Way way);

}  // namespace simt
