#include "trace.h"
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace ptx {
namespace {

Mask chosen_lanes() {
    const char* text = std::getenv("PTX_LANES");
    unsigned first = 0, last = 0;
    if (!text) return 1;
    const int n = std::sscanf(text, "%u:%u", &first, &last);
    if (n == 1) last = first;
    if (n < 1 || first > last || last >= warp_lanes) {
        std::fprintf(stderr, "PTX_LANES=%s: a lane such as 0, or some such as 0:3\n", text);
        std::exit(2);
    }
    return Mask((uint64_t(2) << last) - (uint64_t(1) << first));
}

std::string value(Warp& w, const Instruction& i, unsigned lane) {
    char text[64];
    const std::string_view name = i.name;
    switch (i.width) {
        case Width::predicate: return w.predicate(i.result) >> lane & 1 ? "true" : "false";
        case Width::half: std::snprintf(text, sizeof text, "%04x", w.at<uint16_t>(i.result)[lane]); break;
        case Width::word:
            if (name.ends_with("f32")) std::snprintf(text, sizeof text, "%.9g", double(w.at<float>(i.result)[lane]));
            else std::snprintf(text, sizeof text, "%08x", w.at<uint32_t>(i.result)[lane]);
            break;
        case Width::double_word:
            if (name.ends_with("f64")) std::snprintf(text, sizeof text, "%.17g", w.at<double>(i.result)[lane]);
            else
                std::snprintf(text, sizeof text, "%016llx",
                              static_cast<unsigned long long>(w.at<uint64_t>(i.result)[lane]));
            break;
    }
    return text;
}

}  // namespace

Mask traced_lanes(const std::string& kernel) {
    static const char* const part = std::getenv("PTX_TRACE");
    if (!part || !std::strstr(kernel.c_str(), part)) return 0;
    static const Mask lanes = chosen_lanes();
    return lanes;
}

void trace(Warp& w, const Instruction& i, Mask done) {
    const char* file = std::strrchr(i.at.file, '/');
    std::string line = (file ? file + 1 : i.at.file) + (':' + std::to_string(i.at.line));
    line.resize(std::max<size_t>(line.size(), 24), ' ');
    line += ' ' + std::string(i.text);
    char mask[16];
    std::snprintf(mask, sizeof mask, "%08x", done);
    if (done != w.lanes) line += std::string("  for lanes ") + mask;
    for (Mask m = w.traced & done; m && i.result != nowhere; m &= m - 1) {
        const unsigned lane = unsigned(__builtin_ctz(m));
        line += (m == (w.traced & done) ? "  -> " : ", ") + value(w, i, lane);
    }
    std::fprintf(stderr, "%s\n", line.c_str());
}

}  // namespace ptx
