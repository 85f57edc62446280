#include "flag.h"

#include <fmt/core.h>

#include <charconv>
#include <climits>
#include <cmath>

std::string Range::words() const {
    std::string low = fmt::format("{}{:g}", above ? "more than " : "at least ", least);
    std::string high = fmt::format("{}{:g}", below ? "less than " : "at most ", most);
    if (most >= 1e300) return low;
    return least <= -1e300 ? high : low + " and " + high;
}

namespace {

// from_chars knows neither blanks nor a plus sign nor a locale, which is what strict means here.
template <class T>
std::string convert_number(const std::string& text, const Range& range, const char* kind, T& value) {
    T parsed{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), parsed);
    if (error == std::errc::invalid_argument || end != text.data() + text.size())
        return fmt::format("{} is not {}", in_quotes(text), kind);
    if (error == std::errc::result_out_of_range)
        return fmt::format("{} is beyond what a number here can hold", in_quotes(text));
    if constexpr (std::is_floating_point_v<T>)
        if (!std::isfinite(parsed)) return fmt::format("{} is not {}", in_quotes(text), kind);
    if (!range.holds(double(parsed))) return fmt::format("must be {}, not {}", range.words(), text);
    value = parsed;
    return "";
}

}  // namespace

std::string convert(const std::string& text, const Range& range, int64_t& value) {
    return convert_number(text, range, "a whole number", value);
}
std::string convert(const std::string& text, const Range& range, uint64_t& value) {
    return convert_number(text, range, "a whole number of 0 or more", value);
}
std::string convert(const std::string& text, const Range& range, int& value) {
    int64_t wide;
    std::string reason = convert(text, range, wide);
    if (!reason.empty()) return reason;
    if (wide < INT_MIN || wide > INT_MAX)
        return fmt::format("{} is beyond what a number here can hold", in_quotes(text));
    value = int(wide);
    return "";
}
// All of them are computed with as floats, so what they are rounded to must be allowed as well; and where 0 means
// another thing, such as no limit, only 0 is 0.
std::string convert(const std::string& text, const Range& range, double& value) {
    double parsed = 0;
    std::string reason = convert_number(text, range, "a number", parsed);
    if (!reason.empty()) return reason;
    const float rounded = float(parsed);
    if (!std::isfinite(rounded)) return fmt::format("{} is beyond what a number here can hold", in_quotes(text));
    if (!range.holds(rounded) || (rounded == 0 && parsed != 0))
        return fmt::format("{} is rounded to {:g}, it must be {}", text, rounded,
                           rounded == 0 && range.holds(0) ? "0 itself or a larger number" : range.words());
    value = parsed;
    return "";
}
std::string convert(const std::string& text, const Range&, bool& value) {
    if (text != "true" && text != "false") return fmt::format("{} is neither true nor false", in_quotes(text));
    value = text == "true";
    return "";
}
std::string convert(const std::string& text, const Range&, std::string& value) {
    value = text;
    return "";
}
std::string convert(const std::string& text, const Range&, Bytes& value) {
    const size_t digits = std::min(text.find_first_not_of("0123456789.eE"), text.size());
    const std::string unit = text.substr(digits);
    const struct {
        const char* name;
        double size;
    } units[] = {{"", 1},         {"B", 1},        {"MB", 1e6},  {"GB", 1e9},
                 {"MiB", 0x1p20}, {"GiB", 0x1p30}, {"TB", 1e12}, {"TiB", 0x1p40}};
    double count = 0;
    for (const auto& u : units) {
        if (unit != u.name || !convert_number(text.substr(0, digits), Range{}, "", count).empty()) continue;
        if (count <= 0 || count * u.size > 0x1p60) return fmt::format("{} is not a size of memory", in_quotes(text));
        value.count = uint64_t(count * u.size);
        return "";
    }
    return fmt::format("{} is not a number with MB, GB, MiB or GiB", in_quotes(text));
}

std::string convert(const std::string& text, const Range&, LinkRate& value) {
    const size_t times = text.find('x'), begin = times == text.npos ? 0 : times + 1,
                 digits = std::min(text.find_first_not_of("0123456789.eE", begin), text.size());
    const std::string unit = text.substr(digits);
    const struct {
        const char* name;
        double bytes;
    } units[] = {{"Gb/s", 1e9 / 8}, {"Tb/s", 1e12 / 8}, {"Mb/s", 1e6 / 8}, {"GB/s", 1e9}, {"MB/s", 1e6}};
    int64_t count = 1;
    double rate = 0;
    for (const auto& u : units) {
        if (unit != u.name || !convert_number(text.substr(begin, digits - begin), Range{}, "", rate).empty()) continue;
        if (begin > 0 && !convert_number(text.substr(0, times), between(1, 1024), "", count).empty()) break;
        value.bytes = double(count) * rate * u.bytes;
        if (value.bytes >= 1e3 && value.bytes <= 1e15) return "";
        break;
    }
    return fmt::format("{} is no speed of links: a number with Gb/s or GB/s, with several a node 8x400Gb/s",
                       in_quotes(text));
}

std::string convert(const std::string& text, const Range&, StepRange& value) {
    const size_t colon = std::min(text.find(':'), text.size());
    const Range counts = at_least(1);
    StepRange steps;
    if (!convert(text.substr(0, colon), counts, steps.first).empty() ||
        !convert(text.substr(std::min(colon + 1, text.size())), counts, steps.last).empty())
        return fmt::format("{} is not FIRST:LAST, two steps of 1 or more", in_quotes(text));
    if (steps.first > steps.last) return fmt::format("{} ends before it begins", in_quotes(text));
    value = steps;
    return "";
}

std::string not_one_of(const std::string& text, const std::vector<std::string>& names) {
    std::string list;
    for (const std::string& n : names) list += (list.empty() ? "" : ", ") + n;
    return fmt::format("{} is not one of {}", in_quotes(text), list);
}
