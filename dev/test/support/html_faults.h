// Whether a page of HTML is written as it should be: every tag closed where it was opened, every attribute quoted,
// every id there once. Stricter than a browser.
#pragma once
#include <cctype>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

// "" or the first fault.
inline std::string html_fault(const std::string& page) {
    static const std::set<std::string> empty{"meta", "img", "br", "link", "input", "!DOCTYPE", "hr"};
    std::vector<std::string> open;
    std::set<std::string> ids;
    const auto around = [&](size_t at) { return " at: " + page.substr(at, 60); };
    for (size_t at = 0; (at = page.find('<', at)) != std::string::npos;) {
        const size_t begin = at;
        const bool closes = page[++at] == '/';
        at += closes;
        std::string name;
        while (at < page.size() && (std::isalnum(uint8_t(page[at])) || page[at] == '!')) name += page[at++];
        if (name.empty()) return "a < that begins no tag" + around(begin);
        while (at < page.size() && page[at] != '>') {
            if (page[at] == '/' && page[at + 1] == '>') {  // <path .../>
                at++;
                name = "br";  // as empty as that
                continue;
            }
            if (std::isspace(uint8_t(page[at]))) {
                at++;
                continue;
            }
            const size_t word = at;
            while (at < page.size() && page[at] != '=' && page[at] != '>' && !std::isspace(uint8_t(page[at]))) at++;
            const std::string attribute = page.substr(word, at - word);
            if (page[at] != '=') continue;
            if (page[++at] != '"') return "an attribute without quotation marks" + around(word);
            const size_t value = ++at;
            at = page.find('"', at);
            if (at == std::string::npos) return "an attribute that does not end" + around(word);
            if (page.substr(value, at - value).find('<') != std::string::npos) return "a < in a value" + around(word);
            if (attribute == "id" && !ids.insert(page.substr(value, at - value)).second)
                return "an id that was there" + around(word);
            at++;
        }
        if (at >= page.size()) return "a tag that does not end" + around(begin);
        at++;
        if (empty.count(name)) continue;
        if (closes) {
            if (open.empty() || open.back() != name)
                return "</" + name + "> closes " + (open.empty() ? "nothing" : open.back()) + around(begin);
            open.pop_back();
        } else {
            open.push_back(name);
            if (name == "script" || name == "style") at = page.find("</" + name, at);  // text of another kind
        }
    }
    return open.empty() ? "" : "<" + open.back() + "> is not closed";
}
