// The words of PTX.
#pragma once
#include <algorithm>
#include <cctype>
#include <charconv>
#include "statement.h"

namespace ptx {

constexpr bool is_name(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '$' ||
           c == '%';
}

class Scanner {
public:
    Scanner(std::string_view text, size_t at, size_t end, const std::string& origin)
        : text(text), at(at), end(end), origin(origin) {}

    bool done() { return skip(), at >= end; }
    char peek() { return skip(), at < end ? text[at] : '\0'; }
    bool take(char c) { return peek() == c ? (at++, true) : false; }
    void expect(char c) {
        if (!take(c)) fail(std::string("expected '") + c + "'");
    }
    std::string_view name() {  // a register, a label, a symbol
        skip();
        const size_t from = at;
        while (at < end && is_name(text[at])) at++;
        if (from == at) fail("expected a name");
        return text.substr(from, at - from);
    }
    std::string_view opcode() {  // or a directive: names with dots and "::"
        skip();
        const size_t from = at;
        while (at < end && (is_name(text[at]) || text[at] == '.' || text[at] == ':')) {
            if (text[at] == ':' && (at + 1 >= end || text[at + 1] != ':')) break;
            at += text[at] == ':' ? 2 : 1;
        }
        if (from == at) fail("expected an instruction");
        return text.substr(from, at - from);
    }
    std::string_view quoted() {
        expect('"');
        const size_t from = at;
        while (at < end && text[at] != '"') at++;
        return text.substr(from, at++ - from);
    }
    int64_t whole() {
        Operand o = number();
        if (o.number_bits) fail("expected a whole number");
        return int64_t(o.bits);
    }
    // 12, -3, 0x1F, 12U, 0f3F800000 (a float's bits), 0d3FF0000000000000 (a double's)
    Operand number() {
        Operand o;
        o.kind = Operand::Kind::number;
        const bool minus = take('-');
        skip();
        const bool zero = at + 1 < end && text[at] == '0';
        const char second = zero ? text[at + 1] : '\0';
        int base = 10;
        if (second == 'f' || second == 'F') o.number_bits = 32, base = 16, at += 2;
        else if (second == 'd' || second == 'D') o.number_bits = 64, base = 16, at += 2;
        else if (second == 'x' || second == 'X') base = 16, at += 2;
        const auto [next, error] = std::from_chars(&text[at], text.data() + end, o.bits, base);
        if (error != std::errc()) fail("expected a number");
        at = size_t(next - text.data());
        if (at < end && (text[at] == 'U' || text[at] == 'u')) at++;
        if (minus) o.bits = o.number_bits ? o.bits ^ uint64_t(1) << (o.number_bits - 1) : -o.bits;
        return o;
    }
    void skip_line() {
        while (at < end && text[at] != '\n') at++;
    }
    void skip_past(char c) {
        while (at < end && text[at] != c) at++;
        at++;
    }
    size_t position() const { return at; }
    void go_to(size_t place) { at = place; }

    [[noreturn]] void fail(const std::string& what) const {
        const auto line = 1 + std::count(text.begin(), text.begin() + ptrdiff_t(std::min(at, text.size())), '\n');
        size_t last = std::min(text.find('\n', at), std::min(at + 60, text.size()));
        throw TextError(origin + ", line " + std::to_string(line) + ": " + what + " at \"" +
                        std::string(text.substr(std::min(at, text.size()), last - std::min(at, last))) + '"');
    }

private:
    void skip() {  // spaces and comments
        while (at < end) {
            if (std::isspace(static_cast<unsigned char>(text[at]))) at++;
            else if (text.compare(at, 2, "//") == 0) skip_line();
            else if (text.compare(at, 2, "/*") == 0) at = std::min(text.find("*/", at + 2), end - 2) + 2;
            else return;
        }
    }
    std::string_view text;
    size_t at, end;
    const std::string& origin;
};

}  // namespace ptx
