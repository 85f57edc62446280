// Variables of modules, which live as long as the program.
#pragma once
#include "text.h"

namespace ptx {

uint64_t make_module_variable(const Variable&);  // its address
bool find_module_variable(const void*, const char*& begin, const char*& end);

}  // namespace ptx
