#include "added_tokens.h"
#include <algorithm>
#include "host/base/utf8.h"
#include "host/tokenizer/unicode/unicode.h"

namespace {

size_t last_character(std::string_view text) {
    size_t at = text.size() - 1;
    while (at > 0 && (uint8_t(text[at]) & 0xC0) == 0x80) at--;
    return at;
}

bool is_word(CodePoint c) { return c.length && unicode::is_word(c.value); }
bool is_space(CodePoint c) { return c.length && unicode::class_of(c.value) == unicode::Class::space; }

size_t spaces_at_end(std::string_view text) {
    size_t end = text.size();
    while (end > 0) {
        const size_t at = last_character(text.substr(0, end));
        if (!is_space(decode_utf8(text.substr(at, end - at)))) break;
        end = at;
    }
    return text.size() - end;
}

size_t spaces_at_start(std::string_view text) {
    size_t at = 0;
    while (at < text.size()) {
        const CodePoint c = decode_utf8(text.substr(at, 4));
        if (!is_space(c)) break;
        at += size_t(c.length);
    }
    return at;
}

bool stands_alone(std::string_view text, size_t begin, size_t end) {
    if (begin > 0 && is_word(decode_utf8(text.substr(last_character(text.substr(0, begin)), 4)))) return false;
    return end == text.size() || !is_word(decode_utf8(text.substr(end, 4)));
}

}  // namespace

AddedTokenFinder::AddedTokenFinder(std::span<const AddedToken> all, bool normalized,
                                   const std::vector<std::string>& patterns) {
    for (size_t i = 0; i < all.size(); i++) {
        if (all[i].normalized != normalized || patterns[i].empty()) continue;
        int node = 0;
        for (const char c : patterns[i]) {
            const auto [edge, fresh] = nodes[size_t(node)].next.try_emplace(uint8_t(c), int(nodes.size()));
            node = edge->second;
            if (fresh) nodes.emplace_back();
        }
        starts[uint8_t(patterns[i][0])] = true;
        nodes[size_t(node)].token = int(tokens.size());
        tokens.push_back(all[i]);
    }
}

AddedTokenFinder::Found AddedTokenFinder::longest(std::string_view text) const {
    Found found;
    int node = 0;
    for (size_t i = 0; i < text.size(); i++) {
        const auto edge = nodes[size_t(node)].next.find(uint8_t(text[i]));
        if (edge == nodes[size_t(node)].next.end()) break;
        node = edge->second;
        if (nodes[size_t(node)].token >= 0) found = {nodes[size_t(node)].token, i + 1};
    }
    return found;
}

std::vector<Span> AddedTokenFinder::split(std::string_view text, Specials specials) const {
    std::vector<Span> spans;
    size_t done = 0;
    for (size_t at = 0; at < text.size() && !empty();) {
        const Found found = starts[uint8_t(text[at])] ? longest(text.substr(at)) : Found();
        if (found.token < 0) {
            at++;
            continue;
        }
        const AddedToken& token = tokens[size_t(found.token)];
        size_t begin = at, end = at + found.length;
        at = end;  // what is not taken is not looked at again either
        if (specials == Specials::as_text && token.special) continue;
        if (token.single_word && !stands_alone(text, begin, end)) continue;
        if (token.lstrip) begin = std::max(begin - spaces_at_end(text.substr(0, begin)), done);
        if (token.rstrip) end += spaces_at_start(text.substr(end));
        if (done < begin) spans.push_back({done, begin, -1});
        spans.push_back({begin, end, token.id});
        done = end;
    }
    if (done < text.size()) spans.push_back({done, text.size(), -1});
    return spans;
}
