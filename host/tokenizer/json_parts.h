// Reading a tokenizer.json part by part: what is not as it must be is refused by its name.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>
#include "host/base/error.h"

class JsonParts {
protected:
    using json = nlohmann::json;
    explicit JsonParts(const std::string& what) : what(what) {}
    const std::string what;  // the file, for messages

    [[noreturn]] void refuse(const std::string& name, const std::string& reason) const {
        throw Error(Exit::input, what, name + ": " + reason);
    }
    static const json& part(const json& object, const char* name) {
        static const json null;
        if (!object.is_object()) return null;
        const auto found = object.find(name);
        return found == object.end() ? null : *found;
    }
    static std::string shown(const json& value) {
        const std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
        return text.size() > 80 ? text.substr(0, 80) + "..." : text;
    }
    static std::string type(const json& object) {
        const json& name = part(object, "type");
        return name.is_string() ? name.get<std::string>() : "";
    }
    bool flag(const json& object, const char* name, bool otherwise) const {
        const json& value = part(object, name);
        if (value.is_null()) return otherwise;
        if (!value.is_boolean()) refuse(name, "must be true or false, is " + shown(value));
        return value.get<bool>();
    }
    std::string text(const json& value, const char* name) const {
        if (!value.is_string()) refuse(name, "must be text, is " + shown(value));
        return value.get<std::string>();
    }
    int id(const json& value, const char* name, size_t limit) const {
        if (!value.is_number_unsigned() || value.get<uint64_t>() >= limit)
            refuse(name, shown(value) + " is no id below " + std::to_string(limit));
        return int(value.get<uint64_t>());
    }

    // What a component does, one after the other: itself, or the members of a Sequence. Null does nothing.
    std::vector<json> steps(const json& component, const char* members) const {
        if (component.is_null()) return {};
        if (type(component) != "Sequence") return {component};
        const json& list = part(component, members);
        if (!list.is_array()) refuse(members, "must be a list");
        std::vector<json> all;
        for (const json& step : list) {
            if (type(step) == "Sequence") refuse(members, "a Sequence within a Sequence is not known");
            all.push_back(step);
        }
        return all;
    }
};
