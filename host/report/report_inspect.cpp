#include "report_inspect.h"
#include <fmt/core.h>
#include <algorithm>
#include <cmath>
#include "host/base/html.h"
#include "png.h"

namespace {

constexpr Colour ink{47, 126, 216};  // reads well on white and on black
constexpr int cell = 16;             // pixels of a token in a map that was opened

// A space that can be seen.
std::string shown(const std::string& token) {
    std::string out;
    for (const char c : token) out += c == ' ' ? "␣" : std::string(1, c);
    return escaped(out);
}

// The square root of a probability: what is small still shows.
std::string map_of(const Inspection& in, int l, int h) {
    std::vector<uint8_t> opacity;
    for (int t = 0; t < in.T; t++)
        for (int s = 0; s < in.T; s++)
            opacity.push_back(uint8_t(std::lround(255 * std::sqrt(std::clamp(in(l, h, t, s), 0.0, 1.0)))));
    return "data:image/png;base64," + base64(png(opacity, in.T, in.T, ink));
}

std::string maps(const Inspection& in) {
    std::string tokens;
    for (const std::string& token : in.tokens) tokens += "<li>" + shown(token) + "</li>";
    std::string out = fmt::format(
        "<style>.map:target img {{ width: {0}px; height: {0}px }} .map:target li {{ height: {1}px; line-height: {1}px "
        "}}</style>\n",
        in.T * cell, cell);
    for (int l = 0; l < in.L; l++) {
        out += fmt::format("<div class=\"layer\"><h3>layer {}</h3><div class=\"heads\">", l);
        for (int h = 0; h < in.NH; h++)
            out += fmt::format(
                "<figure class=\"map\" id=\"l{0}h{1}\"><div><ol>{2}</ol><a href=\"#l{0}h{1}\"><img alt=\"attention of "
                "layer {0}, head {1}\" src=\"{3}\"></a></div>"
                "<figcaption>head {1} <a class=\"close\" href=\"#attention\">close</a></figcaption></figure>",
                l, h, tokens, map_of(in, l, h));
        out += "</div></div>\n";
    }
    return out;
}

std::string expectations(const Inspection& in) {
    std::string out =
        "<div class=\"wide\"><table class=\"next\"><tr><th>after</th><th>what came</th><th>the five "
        "likeliest</th></tr>\n";
    for (size_t t = 0; t < in.next.size(); t++) {
        out += "<tr><td><code>" + shown(in.tokens[t]) + "</code></td><td>";
        if (t + 1 < in.tokens.size())
            out += fmt::format("<code>{}</code> {:.1f}%", shown(in.tokens[t + 1]), 100 * in.probability[t]);
        out += "</td><td class=\"bars\">";
        for (const Expected& e : in.next[t])
            out += fmt::format("<span style=\"--p:{:.4f}\"{}><code>{}</code> {:.1f}%</span>", e.probability,
                               t + 1 < in.tokens.size() && e.text == in.tokens[t + 1] ? " class=\"came\"" : "",
                               shown(e.text), 100 * e.probability);
        out += "</td></tr>\n";
    }
    return out + "</table></div>\n";
}

}  // namespace

std::string inspection_html(const Inspection& in) {
    return "<h2 id=\"attention\">Attention</h2>\n<p>A row is a token of the prompt, a column a token it may look at: "
           "itself and those before it, left to right. "
           "The stronger the colour, the more it takes from there. Click a map to enlarge it.</p>\n" +
           maps(in) + "<h2>What the model expects next</h2>\n" + expectations(in);
}
