// The sources of this project, as tests that read them see them.
#pragma once
#include <gtest/gtest.h>
#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <vector>
#include "host/base/files.h"

namespace fs = std::filesystem;

using Texts = std::vector<std::string>;
using Tree = std::map<std::string, std::string>;  // path -> text

inline std::string room_of(const std::string& path) { return fs::path(path).parent_path().string(); }
// .h and .cpp are one
inline std::string unit_of(const std::string& path) { return fs::path(path).replace_extension().string(); }
inline bool is_inside(const std::string& path, const std::string& folder) { return path.starts_with(folder + "/"); }

inline Tree read_house() {
    Tree tree;
    const auto add = [&](const fs::path& path) {
        for (const char* kind : {".h", ".cpp", ".cu", ".cuh"})
            if (path.extension() == kind)
                tree[path.lexically_normal().string()] = files::read_file(path.string(), 1 << 24);
    };
    for (const auto& entry : fs::directory_iterator(".")) add(entry.path());
    for (const char* folder : {"host", "kernels", "dev"})
        for (const auto& entry : fs::recursive_directory_iterator(folder)) add(entry.path());
    return tree;
}

inline std::string lines_of(const Texts& faults) {
    std::string lines;
    for (const std::string& fault : faults) lines += fault + "\n";
    return lines;
}

struct rooms : testing::Test {
    void SetUp() override {
        if (!fs::exists("host/base")) GTEST_SKIP() << "the sources are not here";
    }
};
