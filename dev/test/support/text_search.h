// Texts in texts.
#pragma once
#include <string>

inline bool has(const std::string& text, const std::string& part) { return text.find(part) != text.npos; }

// Places where `part` begins.
inline int count(const std::string& text, const std::string& part) {
    int n = 0;
    for (size_t at = 0; (at = text.find(part, at)) != text.npos; at++) n++;
    return n;
}
