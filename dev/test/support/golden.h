// Golden numbers made by PyTorch (dev/oracle) and the inputs they were made from. Inputs are not stored: both sides
// draw
// them from the tensor's name.
#pragma once
#include <gtest/gtest.h>
#include <cstdint>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>
#include "host/base/error.h"
#include "host/reference/tolerance.h"

// Random 64-bit words of a name: splitmix64 started at the name's FNV-1a hash.
class Drawn {
public:
    explicit Drawn(std::string_view name) {
        for (const char letter : name) seed = (seed ^ uint8_t(letter)) * 1099511628211u;
    }
    uint64_t operator()(uint64_t index) const {
        uint64_t x = seed + (index + 1) * 0x9E3779B97F4A7C15u;
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
        x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
        return x ^ (x >> 31);
    }

private:
    uint64_t seed = 14695981039346656037u;
};

// n numbers uniform in [shift - scale, shift + scale), exact in float if scale is a power of two and shift 0 or 1.
template <class T>
std::vector<T> drawn(std::string_view name, size_t n, double scale = 1, double shift = 0) {
    const Drawn word(name);
    std::vector<T> values(n);
    for (size_t i = 0; i < n; i++) values[i] = T(shift + scale * (double(word(i) >> 48) / 32768 - 1));
    return values;
}

// n whole numbers in [0, limit).
inline std::vector<int> drawn_integers(std::string_view name, size_t n, int limit) {
    const Drawn word(name);
    std::vector<int> values(n);
    for (size_t i = 0; i < n; i++) values[i] = int((word(i) >> 33) % uint64_t(limit));
    return values;
}

// The float64 tensors of a safetensors file that this repository wrote.
class GoldenFile {
public:
    explicit GoldenFile(const std::string& path) {
        std::ifstream file(path, std::ios::binary);
        uint64_t size = 0;
        file.read(reinterpret_cast<char*>(&size), sizeof size);
        if (!file) throw Error(Exit::io, path, "cannot read", "run the tests from the repository's root");
        std::string header(size, ' ');
        file.read(header.data(), std::streamsize(size));
        const nlohmann::json rows = nlohmann::json::parse(header);
        for (const auto& [name, row] : rows.items()) {
            if (name == "__metadata__") continue;
            REQUIRE(row.at("dtype") == "F64");
            const size_t begin = row.at("data_offsets")[0], end = row.at("data_offsets")[1];
            std::vector<double>& values = tensors[name];
            values.resize((end - begin) / sizeof(double));
            file.seekg(std::streamoff(sizeof size + header.size() + begin));
            file.read(reinterpret_cast<char*>(values.data()), std::streamsize(end - begin));
        }
        if (!file) throw Error(Exit::io, path, "ends too early");
    }

    std::map<std::string, std::vector<double>, std::less<>> tensors;
};

// Compares results with the goldens whose names begin with `prefix`; at its end fails if one of them was never
// compared.
class GoldenCheck {
public:
    GoldenCheck(const GoldenFile& file, std::string prefix) : file(file), prefix(std::move(prefix)) {}
    ~GoldenCheck() {
        for (const auto& [name, values] : file.tensors)
            EXPECT_TRUE(!name.starts_with(prefix) || asked.contains(name)) << name << " was never compared";
    }
    GoldenCheck(const GoldenCheck&) = delete;

    const std::vector<double>& want(const std::string& name) {
        const auto row = file.tensors.find(prefix + name);
        if (row == file.tensors.end())
            throw Error(Exit::internal, prefix + name, "no such golden", "run dev/oracle again");
        asked.insert(row->first);
        return row->second;
    }

    template <class T>
    void expect(const std::string& name, const std::vector<T>& got, double tolerance) {
        const std::vector<double>& wanted = want(name);
        ASSERT_EQ(got.size(), wanted.size()) << prefix + name;
        EXPECT_EQ(mismatch(got.data(), wanted.data(), got.size(), tolerance), "")
            << prefix << name << " in " << (sizeof(T) == sizeof(float) ? "float" : "double");
    }

    const GoldenFile& file;
    const std::string prefix;

private:
    std::set<std::string> asked;
};
