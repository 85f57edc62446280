// Texts in texts.
#pragma once
#include <cctype>
#include <string>

inline bool has(const std::string& text, const std::string& part) { return text.find(part) != text.npos; }

inline bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

inline bool has_word(const std::string& text, const std::string& word) {
    for (size_t at = text.find(word); at != text.npos; at = text.find(word, at + 1)) {
        const size_t end = at + word.size();
        if ((at == 0 || !is_word(text[at - 1])) && (end == text.size() || !is_word(text[end]))) return true;
    }
    return false;
}

// Places where `part` begins.
inline int count(const std::string& text, const std::string& part) {
    int n = 0;
    for (size_t at = 0; (at = text.find(part, at)) != text.npos; at++) n++;
    return n;
}
