// A new empty directory for one test, removed with everything in it when the test ends.
#pragma once
#include <gtest/gtest.h>
#include <cstdlib>
#include <filesystem>
#include <string>

class FreshDirectory {
public:
    FreshDirectory() : path_(testing::TempDir() + "gpt_XXXXXX") {
        if (!mkdtemp(path_.data())) throw std::runtime_error("no temporary directory: " + path_);
    }
    ~FreshDirectory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    FreshDirectory(const FreshDirectory&) = delete;
    const std::string& path() const { return path_; }
    std::string operator/(const std::string& name) const { return path_ + "/" + name; }

private:
    std::string path_;
};
