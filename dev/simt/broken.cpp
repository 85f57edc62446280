#include "broken.h"
#include <algorithm>
#include <atomic>
#include <iterator>

namespace simt {
namespace {

struct {
    std::string name;
    Broken::Way way;
    int only = -1;
    std::atomic<int> launches = 0;
} broken;

std::atomic<int> call_count = 0, first_failing = -1, failing_error = 0;
std::string failed_function;

// After which every call fails.
bool is_sticky(int error) {
    constexpr int sticky[] = {214, 220, 700, 702, 710, 714, 715, 716, 719, 999};
    return std::find(std::begin(sticky), std::end(sticky), error) != std::end(sticky);
}

}  // namespace

FailingCall::FailingCall(int number, int error) {
    call_count = 0, failing_error = error, failed_function.clear();
    first_failing = number;
}
FailingCall::~FailingCall() { first_failing = -1; }
int FailingCall::calls() { return call_count; }
std::string FailingCall::failed() { return failed_function; }

int error_of_this_call(const char* function) {
    const int number = call_count++, first = first_failing;
    if (first < 0 || number < first || (number > first && !is_sticky(failing_error))) return 0;
    if (number == first) failed_function = function;
    return failing_error;
}

bool is_broken(const std::string& kernel, Broken::Way way) {
    if (broken.name.empty() || broken.way != way || kernel.find(broken.name) == kernel.npos) return false;
    const int number = broken.launches++;
    return broken.only < 0 || number == broken.only;
}
Broken::Broken(const std::string& name, Way way, int only) {
    broken.name = name, broken.way = way, broken.only = only, broken.launches = 0;
}
Broken::~Broken() { broken.name.clear(); }

}  // namespace simt
