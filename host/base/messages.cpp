#include "messages.h"
#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include "utf8.h"

namespace {

constexpr size_t longest_begin = 1500, longest_end = 400;  // bytes; the end often is a hint

// Characters that a terminal obeys, or that turn the direction of what follows.
bool obeyed(uint32_t c) {
    return c < 32 || (c >= 0x7F && c < 0xA0) || (c >= 0x200E && c <= 0x200F) || (c >= 0x2028 && c <= 0x202E) ||
           (c >= 0x2066 && c <= 0x2069) || c == 0xFEFF;
}

}  // namespace

std::string printable(std::string_view text) {
    std::string shortened;
    if (text.size() > longest_begin + longest_end + 3) {
        shortened = std::string(text.substr(0, complete_utf8(text.substr(0, longest_begin)))) + "…";
        std::string_view end = text.substr(text.size() - longest_end);
        while (!end.empty() && (uint8_t(end[0]) & 0xC0) == 0x80) end.remove_prefix(1);
        text = shortened.append(end);
    }
    std::string shown;
    for (size_t at = 0; at < text.size();) {
        const CodePoint c = decode_utf8(text.substr(at));
        const auto value = uint32_t(c.value);
        if (c.length == 0) shown += fmt::format("\\x{:02x}", uint8_t(text[at]));
        else if (obeyed(value))
            shown += value < 256 ? fmt::format("\\x{:02x}", value) : fmt::format("\\u{:04x}", value);
        else shown += text.substr(at, size_t(c.length));
        at += size_t(std::max(c.length, 1));
    }
    return shown;
}

void warn(const std::string& text) {
    const std::string line = "warning: " + printable(text) + "\n";
    if (std::fwrite(line.data(), 1, line.size(), stderr) != line.size()) clearerr(stderr);
}

void open_standard_streams() {
    for (int file = 0; file < 3; file++)
        if (fcntl(file, F_GETFD) < 0 && open("/dev/null", O_RDWR) != file) _exit(4);
}
