// One flag of the command line: a row that ties a name to a field of Options, and strict conversion from text to value.
// Text that is not wholly a value of the field's type and range is refused with the reason.
#pragma once
#include <functional>
#include <nlohmann/json.hpp>

#include "host/base/text.h"
#include "options.h"

// Values a number may take; `above` and `below` leave the ends out.
struct Range {
    double least = -1e300, most = 1e300;
    bool above = false, below = false;
    bool holds(double x) const { return (above ? x > least : x >= least) && (below ? x < most : x <= most); }
    std::string words() const;
};
constexpr Range at_least(double x) { return {.least = x}; }
constexpr Range more_than(double x) { return {.least = x, .above = true}; }
constexpr Range between(double a, double b) { return {.least = a, .most = b}; }

// Each returns the reason why not, or "".
std::string convert(const std::string& text, const Range& range, int64_t& value);
std::string convert(const std::string& text, const Range& range, uint64_t& value);
std::string convert(const std::string& text, const Range& range, int& value);
std::string convert(const std::string& text, const Range& range, double& value);
std::string convert(const std::string& text, const Range& range, bool& value);
std::string convert(const std::string& text, const Range& range, std::string& value);
std::string convert(const std::string& text, const Range& range, Bytes& value);
std::string convert(const std::string& text, const Range& range, LinkRate& value);
std::string convert(const std::string& text, const Range& range, StepRange& value);
std::string not_one_of(const std::string& text, const std::vector<std::string>& names);

template <class E>
requires std::is_enum_v<E> std::string convert(const std::string& text, const Range&, E& value) {
    if (const auto found = from_name<E>(text)) return value = *found, "";
    return not_one_of(text, {names_of<E>.begin(), names_of<E>.end()});
}

inline nlohmann::ordered_json to_value(const Bytes& x) { return x.count; }
inline nlohmann::ordered_json to_value(const LinkRate& x) { return x.bytes; }
inline nlohmann::ordered_json to_value(const StepRange& x) {
    return std::to_string(x.first) + ":" + std::to_string(x.last);
}
template <class T>
nlohmann::ordered_json to_value(const T& x) {
    if constexpr (std::is_enum_v<T>) return name_of(x);
    else return x;
}

enum class Takes { one, at_most_one, several };  // values; a switch may stand alone

struct Flag {
    using Texts = std::vector<std::string>;

    const char *name, *value;  // value: what --help calls it
    const char* text;          // the default; of an optional field, an example
    const char* help;
    Takes takes = Takes::one;
    const char* alone = nullptr;  // what the flag means without a value, where that is allowed
    bool optional = false;
    const char* section = "";
    unsigned commands = 0;  // a bit for each Command

    std::function<std::string(Options&, const Texts&)> set;     // the reason why not, or ""
    std::function<nlohmann::ordered_json(const Options&)> get;  // null: not given

    bool belongs_to(Command c) const { return commands >> unsigned(c) & 1; }
    std::string example() const {
        return std::string("--") + name + (alone ? "" : std::string(" ") + (*text ? text : value));
    }

    template <class T>
    Flag(const char* name, T Options::*field, const char* value, const char* text, const char* help, Range range = {})
        : name(name), value(value), text(text), help(help) {
        if constexpr (std::is_same_v<T, bool>) stand_alone("true");
        set = [=](Options& o, const Texts& texts) { return convert(texts.front(), range, o.*field); };
        get = [=](const Options& o) { return to_value(o.*field); };
    }
    template <class T>
    Flag(const char* name, std::optional<T> Options::*field, const char* value, const char* text, const char* help,
         Range range = {})
        : name(name), value(value), text(text), help(help), optional(true) {
        if constexpr (std::is_same_v<T, bool>) stand_alone("true");
        set = [=](Options& o, const Texts& texts) { return convert(texts.front(), range, (o.*field).emplace()); };
        get = [=](const Options& o) { return o.*field ? to_value(*(o.*field)) : nlohmann::ordered_json(); };
    }
    Flag(const char* name, std::vector<std::string> Options::*field, const char* value, const char* text,
         const char* help)
        : name(name), value(value), text(text), help(help), takes(Takes::several) {
        set = [=](Options& o, const Texts& texts) {
            o.*field = texts;
            return std::string();
        };
        get = [=](const Options& o) { return nlohmann::ordered_json(o.*field); };
    }
    // A word that stands for a number outside the range.
    Flag&& or_word(const std::string& word, int Options::*field, int meaning) && {
        const auto number = get;
        set = [=, by_number = set](Options& o, const Texts& texts) {
            if (texts.front() != word) return by_number(o, texts);
            o.*field = meaning;
            return std::string();
        };
        get = [=](const Options& o) { return o.*field == meaning ? nlohmann::ordered_json(word) : number(o); };
        return std::move(*this);
    }
    Flag&& stand_alone(const char* meaning) && { return stand_alone(meaning), std::move(*this); }
    void stand_alone(const char* meaning) & { takes = Takes::at_most_one, alone = meaning; }
};
