// UTF-8: code points in and out, and the repair of text that is not quite UTF-8.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

constexpr char32_t replacement_character = 0xFFFD;

struct CodePoint {
    char32_t value;
    int length;
};  // length 0: not UTF-8 here

// The code point that starts at text[0]; overlong forms, surrogates and what is cut off are not UTF-8.
CodePoint decode_utf8(std::string_view text);
void append_utf8(std::string& out, char32_t value);
std::string to_utf8(char32_t value);

// Length of the part of `text` that ends on a code point's boundary: less only if the last code point may be
// incomplete.
size_t complete_utf8(std::string_view text);

// Replaces every maximal broken piece by U+FFFD, as Python's errors="replace" does; returns how many.
size_t repair_utf8(std::string& text);
std::string repairs_text(size_t pieces);  // for people: "3 pieces are not UTF-8 and were replaced by U+FFFD"

// Takes a byte order mark, which is not text, off the beginning of a file.
// Throws Error{input} naming `what` at those of UTF-16 and UTF-32.
void drop_byte_order_mark(std::string& text, const std::string& what);
