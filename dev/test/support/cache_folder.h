// An environment variable, and the folder of this user's caches, while they live.
#pragma once
#include <cstdlib>
#include <optional>
#include <string>

class Variable {
public:
    Variable(const char* name, const std::string& value) : name(name) {
        if (const char* old = std::getenv(name)) before = old;
        setenv(name, value.c_str(), 1);
    }
    ~Variable() {
        if (before) setenv(name, before->c_str(), 1);
        else unsetenv(name);
    }
    Variable(const Variable&) = delete;

private:
    const char* name;
    std::optional<std::string> before;
};

struct CacheFolder : Variable {
    explicit CacheFolder(const std::string& path) : Variable("XDG_CACHE_HOME", path) {}
};
