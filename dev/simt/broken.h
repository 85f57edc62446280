// A GPU that does some kernel wrong, for tests of what is done about it: so do, while this lives, all launches of
// kernels with `name` in theirs (template arguments included), or only the one of this number from now on (the first
// is 0).
#pragma once
#include <string>

namespace simt {

class Broken {
public:
    enum class Way { leaves_out_a_block, is_refused, breaks_down };
    explicit Broken(const std::string& name, Way way = Way::leaves_out_a_block, int only = -1);
    ~Broken();
    Broken(const Broken&) = delete;
};

bool is_broken(const std::string& kernel, Broken::Way way);

// A driver or GPU that fails: while this lives, the Nth call of the runtime from now on (the first is 0) gives this
// error, and so do all later ones where it is one that a process does not get over. What frees something is not
// counted.
class FailingCall {
public:
    explicit FailingCall(int number, int error);
    ~FailingCall();
    FailingCall(const FailingCall&) = delete;
    static int calls();           // of the runtime, so far
    static std::string failed();  // the first function that did; "": none
};
int error_of_this_call(const char* function);  // 0: none

}  // namespace simt
