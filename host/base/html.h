// Escapes text so that it stays text anywhere in HTML and SVG, between tags and in quoted attributes.
#pragma once
#include <string>
#include "utf8.h"

inline std::string escaped(std::string text) {
    repair_utf8(text);
    std::string out;
    for (const char c : text) {
        switch (c) {
            case '&': out += "&amp;"; break;
            case '<': out += "&lt;"; break;
            case '>': out += "&gt;"; break;
            case '"': out += "&quot;"; break;
            case '\'': out += "&#39;"; break;
            default:
                if (uint8_t(c) < 32 && c != '\n' && c != '\t')
                    append_utf8(out, replacement_character);  // XML has no such characters
                else out += c;
        }
    }
    return out;
}
