// A GGUF file as the format's description has it, read by other code than what writes it. Every rule that readers
// check is checked: tensors stand one after another, each at a multiple of 32, and the file ends with the last.
#pragma once
#include <map>
#include <string>
#include <variant>
#include <vector>

struct GgufArray {
    uint32_t type = 0;
    std::vector<std::string> texts;  // of type 8
    std::vector<double> numbers;     // of others
};
using GgufValue = std::variant<double, bool, std::string, GgufArray>;

struct GgufTensor {
    std::vector<uint64_t> shape;  // as the file has it, the fastest first
    uint32_t type = 0;
    std::string bytes;
    std::vector<float> values() const;  // of types 0 (F32), 1 (F16), 8 (Q8_0) and 30 (BF16)
};

struct GgufFile {
    std::map<std::string, GgufValue> keys;
    std::vector<std::string> order;  // of the tensors
    std::map<std::string, GgufTensor> tensors;

    // Throws std::runtime_error that says what is against the format.
    explicit GgufFile(const std::string& path);
    double number(const std::string& key) const { return std::get<double>(keys.at(key)); }
    bool flag(const std::string& key) const { return std::get<bool>(keys.at(key)); }
    const std::string& text(const std::string& key) const { return std::get<std::string>(keys.at(key)); }
    const GgufArray& array(const std::string& key) const { return std::get<GgufArray>(keys.at(key)); }
};
