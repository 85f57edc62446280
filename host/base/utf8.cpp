#include "utf8.h"
#include "error.h"

namespace {

// Length in bytes of the code point that begins with this byte; 1 if none can begin with it.
size_t length_of_start(uint8_t byte) {
    if (byte < 0xC2 || byte > 0xF4) return 1;
    return byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : 2;
}

// Length of the longest start of `text` that could begin a code point. One U+FFFD replaces so many bytes
// (Unicode, section 3.9).
size_t broken_length(std::string_view text) {
    const uint8_t a = uint8_t(text[0]);
    const size_t length = length_of_start(a);
    const uint8_t low = a == 0xE0 ? 0xA0 : a == 0xF0 ? 0x90 : 0x80, high = a == 0xED ? 0x9F : a == 0xF4 ? 0x8F : 0xBF;
    size_t n = 1;
    for (; n < length && n < text.size(); n++) {
        const uint8_t b = uint8_t(text[n]);
        if (n == 1 ? b < low || b > high : b < 0x80 || b > 0xBF) break;
    }
    return n;
}

}  // namespace

CodePoint decode_utf8(std::string_view text) {
    const auto byte = [&](size_t i) { return i < text.size() ? uint8_t(text[i]) : 0u; };
    const auto continues = [&](size_t i) { return (byte(i) & 0xC0) == 0x80; };
    const uint32_t a = byte(0);
    if (text.empty()) return {0, 0};
    if (a < 0x80) return {char32_t(a), 1};
    const int length = int(length_of_start(uint8_t(a)));
    if (length == 1) return {0, 0};
    for (int i = 1; i < length; i++)
        if (!continues(i)) return {0, 0};
    uint32_t value = a & (0x7F >> length);
    for (int i = 1; i < length; i++) value = value << 6 | (byte(i) & 0x3F);
    const bool overlong = value < (length == 4 ? 0x10000u : length == 3 ? 0x800u : 0x80u);
    if (overlong || value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) return {0, 0};
    return {char32_t(value), length};
}

void append_utf8(std::string& out, char32_t c) {
    const auto put = [&](uint32_t byte) { out += char(byte); };
    const auto tail = [&](int shift) { put(0x80 | (c >> shift & 0x3F)); };
    if (c < 0x80) put(c);
    else if (c < 0x800) put(0xC0 | c >> 6), tail(0);
    else if (c < 0x10000) put(0xE0 | c >> 12), tail(6), tail(0);
    else put(0xF0 | c >> 18), tail(12), tail(6), tail(0);
}

std::string to_utf8(char32_t value) {
    std::string out;
    append_utf8(out, value);
    return out;
}

size_t complete_utf8(std::string_view text) {
    for (size_t back = 1; back <= 3 && back <= text.size(); back++) {
        const std::string_view last = text.substr(text.size() - back);
        if ((uint8_t(last[0]) & 0xC0) == 0x80) continue;
        return length_of_start(uint8_t(last[0])) > back && broken_length(last) == back ? text.size() - back
                                                                                       : text.size();
    }
    return text.size();
}

size_t repair_utf8(std::string& text) {
    const auto next_broken = [&](size_t at) {
        while (at < text.size()) {
            if (uint8_t(text[at]) < 0x80) {
                at++;
                continue;
            }
            const CodePoint c = decode_utf8(std::string_view(text).substr(at, 4));
            if (!c.length) break;
            at += size_t(c.length);
        }
        return at;
    };
    size_t at = next_broken(0), copied = 0, count = 0;
    if (at == text.size()) return 0;
    std::string whole;
    for (; at < text.size(); at = next_broken(copied), count++) {
        whole.append(text, copied, at - copied);
        append_utf8(whole, replacement_character);
        copied = at + broken_length(std::string_view(text).substr(at, 4));
    }
    whole.append(text, copied);
    text = std::move(whole);
    return count;
}

std::string repairs_text(size_t pieces) {
    return std::to_string(pieces) + " pieces are not UTF-8 and were replaced by U+FFFD";
}

void drop_byte_order_mark(std::string& text, const std::string& what) {
    if (text.starts_with(std::string("\xFF\xFE\0\0", 4)) || text.starts_with(std::string("\0\0\xFE\xFF", 4)))
        throw Error(Exit::input, what, "is UTF-32, not UTF-8", "convert it with: iconv -f UTF-32 -t UTF-8");
    if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF"))
        throw Error(Exit::input, what, "is UTF-16, not UTF-8", "convert it with: iconv -f UTF-16 -t UTF-8");
    if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);
}
