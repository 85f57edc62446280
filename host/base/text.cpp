#include "text.h"
#include <algorithm>
#include <utility>
#include "messages.h"
#include "utf8.h"

std::string in_quotes(const std::string& text) {
    const std::string begin = text.substr(0, 60);
    if (begin.size() == text.size()) return '"' + printable(text) + '"';
    return '"' + printable(begin.substr(0, complete_utf8(begin))) + "…\"";
}

// Levenshtein's distance, one row of the table at a time.
std::string nearest(const std::string& word, const std::vector<std::string>& names) {
    std::string best;
    size_t least = std::max<size_t>(2, word.size() / 3) + 1;
    if (word.size() > 100) return "";
    for (const std::string& name : names) {
        std::vector<size_t> row(name.size() + 1);
        for (size_t j = 0; j <= name.size(); j++) row[j] = j;
        for (size_t i = 1; i <= word.size(); i++) {
            size_t diagonal = std::exchange(row[0], i);
            for (size_t j = 1; j <= name.size(); j++) {
                const size_t replace = diagonal + (word[i - 1] != name[j - 1]);
                diagonal = std::exchange(row[j], std::min({replace, row[j] + 1, row[j - 1] + 1}));
            }
        }
        if (row.back() < least && row.back() < name.size()) least = row.back(), best = name;
    }
    return best;
}
