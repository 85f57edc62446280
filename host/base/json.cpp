#include "json.h"
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <set>
#include "error.h"
#include "files.h"

namespace {

// What is wrong, where the parser's own words tell it.
std::string cause(const std::string& words) {
    const auto says = [&](const char* part) { return words.find(part) != words.npos; };
    if (says("surrogate")) return ": half a surrogate pair, which is no character";
    if (says("unexpected end of input") || says("missing closing quote")) return ": it ends in the middle";
    return "";
}

template <class AnyJson>
AnyJson parse(std::string_view text, const std::string& what) {
    constexpr int max_depth = 64;
    constexpr bool ordered = std::is_same_v<AnyJson, Json>;
    constexpr size_t max_keys = ordered ? 4096 : SIZE_MAX;  // in order they are kept in a list, searched from its begin
    std::vector<std::set<std::string>> keys;                // of every object that is still open
    const auto check = [&](int depth, typename AnyJson::parse_event_t event, AnyJson& value) {
        if (depth >= max_depth) throw Error(Exit::input, what, "JSON nested deeper than " + std::to_string(max_depth));
        if (event == AnyJson::parse_event_t::object_start) keys.emplace_back();
        if (event == AnyJson::parse_event_t::object_end) keys.pop_back();
        if (event == AnyJson::parse_event_t::key && !keys.back().insert(value.template get<std::string>()).second)
            throw Error(Exit::input, what, "the key " + value.dump() + " stands twice in an object");
        if (event == AnyJson::parse_event_t::key && keys.back().size() > max_keys)
            throw Error(Exit::input, what, "an object has more than " + std::to_string(max_keys) + " keys");
        return true;
    };
    if (text.find('\0') != text.npos) throw Error(Exit::input, what, "not valid JSON: holds a zero byte");
    if (text.starts_with("\xEF\xBB\xBF"))
        throw Error(Exit::input, what, "begins with a byte order mark, JSON does not");
    try {
        return AnyJson::parse(text, check);
    } catch (const typename AnyJson::parse_error& error) {
        throw Error(Exit::input, what, "not valid JSON at byte " + std::to_string(error.byte) + cause(error.what()));
    } catch (const typename AnyJson::exception&) {
        throw Error(Exit::input, what, "not valid JSON: a number out of range");
    }
}

}  // namespace

Json parse_json(std::string_view text, const std::string& what) { return parse<Json>(text, what); }

nlohmann::json parse_large_json(std::string_view text, const std::string& what) {
    return parse<nlohmann::json>(text, what);
}

Json read_json(const std::string& path, uint64_t limit) { return parse_json(files::read_file(path, limit), path); }

std::string to_text(const Json& json) { return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"; }

std::string hex_float(double x) {
    char text[40];
    std::snprintf(text, sizeof text, "%a", x);
    return text;
}

double parse_hex_float(const Json& value, const std::string& what) {
    if (!value.is_string()) throw Error(Exit::input, what, "must be a hexadecimal float in quotes");
    const std::string text = value.get<std::string>();
    char* end = nullptr;
    const double x = std::strtod(text.c_str(), &end);
    if (text.empty() || end != text.c_str() + text.size())
        throw Error(Exit::input, what, "not a number: " + value.dump());
    return x;
}

int64_t parse_count(const Json& value, const std::string& what, int64_t most) {
    const bool negative = !value.is_number_unsigned() && value.is_number_integer() && value.get<int64_t>() < 0;
    if (!value.is_number_integer() || negative || value.get<uint64_t>() > uint64_t(most))
        throw Error(Exit::input, what,
                    "must be a whole number, 0 to " + std::to_string(most) + ", not " + value.dump());
    return value.get<int64_t>();
}

double shortest(float x) {
    if (!std::isfinite(x)) return x;
    char text[32] = "";
    std::to_chars(text, text + sizeof text - 1, x);
    return std::strtod(text, nullptr);
}

std::vector<std::string> differences(const Json& a, const Json& b, const std::string& where_a,
                                     const std::string& where_b) {
    const Json left = a.flatten(), right = b.flatten();
    const auto value = [](const Json& object, const std::string& key, const std::string& where) {
        return (object.contains(key) ? object[key].dump() : "absent") + " " + where;
    };
    const auto line = [&](const std::string& key) {
        std::string label = key.empty() ? key : key.substr(1);
        std::replace(label.begin(), label.end(), '/', '.');
        return label + ": " + value(left, key, where_a) + ", " + value(right, key, where_b);
    };
    std::vector<std::string> lines;
    for (const auto& [key, one] : left.items())
        if (!right.contains(key) || right[key] != one) lines.push_back(line(key));
    for (const auto& [key, one] : right.items())
        if (!left.contains(key)) lines.push_back(line(key));
    return lines;
}
