// GGUF version 3, the file format of llama.cpp. Little-endian:
//
//   "GGUF" | u32 version | u64 tensors | u64 keys | keys and values | of each tensor name, shape, type, offset |
//   the tensors' bytes, each from a multiple of 32 on
//
// A string is its length (u64) and its bytes; a shape begins with what is fastest.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>
#include "host/base/files.h"
#include "host/options/options.h"

namespace gguf {

constexpr uint64_t alignment = 32;
constexpr int block = 32;  // values that share a scale in q8_0

using Value = std::variant<uint32_t, int32_t, float, bool, std::string, std::vector<std::string>, std::vector<int32_t>,
                           std::vector<float>>;
using Metadata = std::vector<std::pair<std::string, Value>>;

struct Tensor {
    std::string name;
    std::vector<uint64_t> shape;  // slowest first, as everywhere here
    GgufType type;
    uint64_t elements() const;
    uint64_t bytes() const;
};

// Appends values in the bytes of the type: f16 and bf16 rounded to the nearest even; q8_0 in blocks of 32, of which
// each is an f16 scale, the largest magnitude over 127, and 32 bytes of values over the scale, rounded half away from
// 0. Of q8_0 they must be whole blocks. Throws Error{numeric} naming `name` where a value is too large for the type.
void append_values(std::string& bytes, GgufType type, std::span<const float> values, const std::string& name);
uint16_t half_of(float x);  // the nearest f16; beyond them infinity

// Writes the head at once, then the tensors' values in the order given, in pieces.
class Writer {
public:
    Writer(files::Writer& file, const Metadata& metadata, std::vector<Tensor> tensors);
    static uint64_t file_bytes(const Metadata& metadata, const std::vector<Tensor>& tensors);
    // The next values, of one tensor; in q8_0 whole blocks.
    void write(std::span<const float> values);
    void finish() const;  // needs every tensor complete

private:
    files::Writer& file;
    std::vector<Tensor> tensors;
    size_t current = 0;
    uint64_t left = 0;  // bytes of the current tensor
    std::string buffer;
};

}  // namespace gguf
