// What tokenizers ask of Unicode, with the tables of Hugging Face's library (dev/oracle/unicode.py), which no system
// library has.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace unicode {

// General category L, N or M, White_Space, or none of these.
enum class Class : uint8_t { other, letter, number, space, mark };

constexpr uint16_t class_bits = 7, word_bit = 8, continues_bit = 16, changes_bit = 32, capital_bit = 64,
                   small_bit = 128, digit_bit = 256;

// Of each of the 0x110000 code points: its Class, is it \w, may it combine with what is before, is it not NFC alone,
// is it a capital (Lu, Lt) or a small letter (Ll), is it a digit to Digits (a number, of a newer Unicode).
const uint16_t* properties();

inline Class class_of(char32_t c) { return Class(properties()[c] & class_bits); }
inline bool is_word(char32_t c) { return properties()[c] & word_bit; }

// Normalization form C of well-formed UTF-8 (Unicode Standard, 3.11).
std::string nfc(std::string_view text);
bool is_nfc(std::string_view text);  // quickly; false may mean "not sure"

}  // namespace unicode
