// A JSON object from a file: absent and null are the same; a value of the wrong type is an
// error that names file and key.
#pragma once
#include <cmath>
#include <set>
#include <string>
#include "host/base/error.h"
#include "host/base/json.h"

struct Fields {
    const Json& object;
    std::string what;
    mutable std::set<std::string> asked = {};  // keys, by find()

    Fields(const Json& object, const std::string& what) : object(object), what(what) {
        if (!object.is_object()) throw Error(Exit::input, what, "must be a JSON object");
    }

    [[noreturn]] void refuse(const std::string& key, const std::string& reason, const std::string& hint = "") const {
        throw Error(Exit::input, what, key + " " + reason, hint);
    }
    const Json* find(const char* key) const {
        asked.insert(key);
        const auto found = object.find(key);
        return found == object.end() || found->is_null() ? nullptr : &*found;
    }
    double number(const char* key, double otherwise) const {
        const Json* value = find(key);
        if (value && !value->is_number()) refuse(key, "must be a number, not " + value->dump());
        return value ? value->get<double>() : otherwise;
    }
    int integer(const char* key, int otherwise) const {
        const double x = number(key, otherwise);
        if (x != std::floor(x) || std::abs(x) > 2147483647.0)
            refuse(key, "must be a whole number below 2^31, not " + find(key)->dump());
        return int(x);
    }
    bool flag(const char* key, bool otherwise) const {
        const Json* value = find(key);
        if (value && !value->is_boolean()) refuse(key, "must be true or false, not " + value->dump());
        return value ? value->get<bool>() : otherwise;
    }
    std::string text(const char* key, const char* otherwise) const {
        const Json* value = find(key);
        if (value && !value->is_string()) refuse(key, "must be text, not " + value->dump());
        return value ? value->get<std::string>() : otherwise;
    }
};
