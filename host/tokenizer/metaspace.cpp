#include "metaspace.h"
#include <algorithm>
#include <charconv>
#include <cstdio>
#include "host/base/utf8.h"

namespace {

std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
    std::string out;
    for (size_t at; (at = text.find(from)) != text.npos; text.remove_prefix(at + from.size()))
        out.append(text.substr(0, at)).append(to);
    return out.append(text);
}

}  // namespace

std::string normalize(const Metaspace& how, std::string_view text, Section section) {
    const bool prepends = how.prepends && section != Section::continued && !text.empty();
    return std::string(prepends ? space_mark : "") +
           (how.replaces ? replaced(text, " ", space_mark) : std::string(text));
}

std::string pre_tokenize(const Metaspace& how, std::string_view text, Section section) {
    if (!how.prefix) return std::string(text);
    std::string out = replaced(text, " ", space_mark);
    const bool wanted = *how.prefix == Prefix::always ? section != Section::continued
                                                      : *how.prefix == Prefix::first && section == Section::first;
    if (wanted && !out.starts_with(space_mark)) out.insert(0, space_mark);
    return out;
}

bool has_inner_mark(std::string_view text) {
    while (text.starts_with(space_mark)) text.remove_prefix(space_mark.size());
    return text.find(space_mark) != text.npos;
}

size_t marked_piece_length(MarkCuts cuts, std::string_view text) {
    if (cuts == MarkCuts::none) return text.size();
    size_t begin = text.starts_with(space_mark) ? space_mark.size() : 0;
    while (cuts == MarkCuts::words && text.substr(begin).starts_with(space_mark)) begin += space_mark.size();
    return std::min(text.find(space_mark, begin), text.size());
}

std::string byte_name(int byte) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", unsigned(byte) & 0xFF);
    return name;
}

int byte_of_name(std::string_view name) {
    if (name.size() != 6 || !name.starts_with("<0x") || name[5] != '>') return -1;
    const bool sign = name[3] == '+';  // a number in Rust
    unsigned byte = 0;
    const char *first = name.data() + 3 + sign, *last = name.data() + 5;
    const auto [end, error] = std::from_chars(first, last, byte, 16);
    return error == std::errc() && end == last ? int(byte) : -1;
}

std::string text_of_name(std::string_view name) {
    const int byte = byte_of_name(name);
    return byte < 0 ? replaced(name, space_mark, " ") : std::string(1, char(byte));
}

std::string decode_marked(const Metaspace& how, const std::vector<std::string>& tokens,
                          const std::vector<bool>& is_byte, std::span<const int> ids) {
    std::string text, bytes;
    const auto take_bytes = [&] {
        std::string copy = bytes;
        if (repair_utf8(copy) == 0) text += bytes;
        else
            for (size_t i = 0; i < bytes.size(); i++) append_utf8(text, replacement_character);
        bytes.clear();
    };
    for (const int id : ids) {
        if (id < 0 || size_t(id) >= tokens.size()) continue;
        if (!is_byte[size_t(id)]) take_bytes();
        (is_byte[size_t(id)] ? bytes : text) += tokens[size_t(id)];
    }
    take_bytes();
    const size_t spaces = std::min(text.find_first_not_of(' '), text.size());
    return text.erase(0, std::min(spaces, size_t(how.strips)));
}
