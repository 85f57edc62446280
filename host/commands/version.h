// What this program was built from and by.
#pragma once
#include <string>

// A line each: commit, compiler, kernels (`kernels` says for what and by what), matmuls on the CPU.
std::string version_text(const std::string& kernels);
