// Whether the beginning of a file is that of a text: archives, pictures, tables and weights are not,
// whatever they are called.
#pragma once
#include <string>
#include <string_view>

constexpr size_t telling_bytes = 1 << 16;  // of the beginning

// Throws Error{input} naming the file and what it is instead.
void require_text(std::string_view beginning, const std::string& name);
