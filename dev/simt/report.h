// What the runtime has to say of a program's faults.
#pragma once
#include <string>

namespace simt {

void say(const std::string& message);  // on stderr, and kept for take_report
std::string take_report();             // what was said since the last call: tests read it

}  // namespace simt
