// A fresh directory for a test's files, deleted with everything in it when the test ends.
#pragma once
#include <gtest/gtest.h>
#include <stdlib.h>
#include <filesystem>
#include <fstream>

struct Temporary {
    std::filesystem::path path;
    Temporary() {
        std::string name = testing::TempDir() + "gpt_test_XXXXXX";
        path = mkdtemp(name.data());
    }
    ~Temporary() { std::filesystem::remove_all(path); }
    Temporary(const Temporary&) = delete;
    std::string operator/(const std::string& name) const { return (path / name).string(); }
};

// Makes the file hold these bytes, without waiting for the disk.
inline void overwrite(const std::string& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}
