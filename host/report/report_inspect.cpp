#include "report_inspect.h"
#include <fmt/core.h>
#include <algorithm>
#include <cmath>
#include "host/base/html.h"
#include "png.h"

namespace {

constexpr Colour ink{47, 126, 216};  // reads well on white and on black

constexpr int most_open = 24;  // maps that are seen without a click

// A space that can be seen.
std::string visible(const std::string& token) {
    std::string out;
    for (const char c : token) out += c == ' ' ? "␣" : std::string(1, c);
    return out;
}
std::string shown(const std::string& token) { return escaped(visible(token)); }

// The square root of a probability: what is small still shows.
std::string map_of(const Inspection& in, int l, int h) {
    std::vector<uint8_t> opacity;
    for (int t = 0; t < in.T; t++)
        for (int s = 0; s < in.T; s++)
            opacity.push_back(uint8_t(std::lround(255 * std::sqrt(std::clamp(in(l, h, t, s), 0.0, 1.0)))));
    return "data:image/png;base64," + base64(png(opacity, in.T, in.T, ink));
}

std::string maps(const Inspection& in) {
    std::string out = fmt::format("<details{}><summary>the {} heads of all layers</summary>\n",
                                  in.L * in.NH <= most_open ? " open" : "", in.L * in.NH);
    for (int l = 0; l < in.L; l++) {
        out += fmt::format("<h3>layer {}</h3>\n<div class=\"heads\">\n", l + 1);
        for (int h = 0; h < in.NH; h++)
            out += fmt::format(
                "<button type=\"button\" class=\"thumb\"><img alt=\"attention of layer {0}, head {1}\" src=\"{2}\">"
                "head {1}</button>\n",
                l + 1, h + 1, map_of(in, l, h));
        out += "</div>\n";
    }
    return out + "</details>\n";
}

std::string stepper(const char* what) {
    return fmt::format(
        "<div class=\"stepper\" data-of=\"{0}\"><button type=\"button\" aria-label=\"previous {0}\">‹</button>"
        "<output aria-live=\"polite\">{0}</output><button type=\"button\" aria-label=\"next {0}\">›</button></div>\n",
        what);
}

std::string explorer(const Inspection& in) {
    std::string out = "<div id=\"explorer\" hidden>\n<div class=\"steppers\">" + stepper("layer") + stepper("head") +
                      stepper("token") +
                      "</div>\n<div class=\"explore\">\n<div class=\"map\"><img alt=\"\"><i></i></div>\n<div>\n" +
                      "<p class=\"tokens\">";
    for (const std::string& token : in.tokens) out += "<button type=\"button\">" + shown(token) + "</button>";
    return out +
           "</p>\n<div class=\"lists\"><div><h3><code class=\"who\"></code> looks at</h3><ol class=\"bars "
           "looks\"></ol></div>\n"
           "<div><h3>expected next</h3><ol class=\"bars expects\"></ol><p class=\"came-next\"></p></div></div>\n"
           "</div></div></div>\n";
}

std::string expectations(const Inspection& in) {
    std::string out = fmt::format(
        "<details><summary>what was expected after each of the {} tokens</summary>\n<ol class=\"next\">\n", in.T);
    for (size_t t = 0; t < in.next.size(); t++) {
        out += "<li><p>after <code>" + shown(in.tokens[t]) + "</code>";
        const bool more = t + 1 < in.tokens.size();
        if (more)
            out += fmt::format(" came <code>{}</code> ({:.1f}%)", shown(in.tokens[t + 1]), 100 * in.probability[t]);
        out += "</p><ol class=\"bars\">";
        for (const Expected& e : in.next[t])
            out += fmt::format("<li{0}><b style=\"--p:{1:.1f}%\">{2}</b><span>{1:.1f}%</span></li>",
                               more && e.text == in.tokens[t + 1] ? " class=\"came\"" : "", 100 * e.probability,
                               shown(e.text));
        out += "</ol></li>\n";
    }
    return out + "</ol></details>\n";
}

}  // namespace

std::string inspection_html(const Inspection& in) {
    return "<h2 id=\"attention\">Attention</h2>\n<p>A row of a map is a token of the prompt, a column a token it may "
           "look at: "
           "itself and those before it. The stronger the colour, the more it takes from there. Choose a layer, a head "
           "and a token: what the token looks at is coloured in the text.</p>\n" +
           explorer(in) + maps(in) + "<h2>What the model expects next</h2>\n" + expectations(in);
}

Json inspection_data(const Inspection& in) {
    Json data{{"layers", in.L}, {"heads", in.NH}, {"tokens", Json::array()}, {"next", Json::array()}};
    for (const std::string& token : in.tokens) data["tokens"].push_back(visible(token));
    for (const std::vector<Expected>& row : in.next) {
        Json likeliest = Json::array();
        for (const Expected& e : row) likeliest.push_back({visible(e.text), e.probability});
        data["next"].push_back(likeliest);
    }
    data["probability"] = in.probability;
    return data;
}
