#include "gguf_writer.h"
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

static_assert(std::endian::native == std::endian::little, "numbers are written as they are");

namespace gguf {

namespace {

constexpr uint32_t version = 3;

// The format's numbers for types of values, in the order of Value's alternatives, and the one of a list.
constexpr uint32_t kinds[] = {4, 5, 6, 7, 8, 8, 5, 6}, list = 9;
static_assert(std::size(kinds) == std::variant_size_v<Value>);

struct TypeRow {
    uint32_t id, values, bytes;  // of a block
};
constexpr TypeRow types[] = {{0, 1, 4}, {1, 1, 2}, {30, 1, 2}, {8, block, 2 + block}};
static_assert(std::size(types) == names_of<GgufType>.size());

const TypeRow& row(GgufType type) { return types[size_t(type)]; }

template <class T>
void put(std::string& out, T x) {
    out.append(reinterpret_cast<const char*>(&x), sizeof x);
}
void put(std::string& out, const std::string& text) { put(out, uint64_t(text.size())), out += text; }
void put(std::string& out, bool x) { out += char(x); }

template <class T>
void put_value(std::string& out, uint32_t kind, const T& value) {
    put(out, kind);
    put(out, value);
}
template <class T>
void put_value(std::string& out, uint32_t kind, const std::vector<T>& values) {
    put(out, list);
    put(out, kind);
    put(out, uint64_t(values.size()));
    for (const T& value : values) put(out, value);
}

uint64_t aligned(uint64_t n) { return (n + alignment - 1) / alignment * alignment; }

std::string head(const Metadata& metadata, const std::vector<Tensor>& tensors) {
    std::string out = "GGUF";
    put(out, version);
    put(out, uint64_t(tensors.size()));
    put(out, uint64_t(metadata.size()));
    for (const auto& [key, value] : metadata) {
        put(out, key);
        std::visit([&, kind = kinds[value.index()]](const auto& x) { put_value(out, kind, x); }, value);
    }
    uint64_t offset = 0;
    for (const Tensor& tensor : tensors) {
        put(out, tensor.name);
        put(out, uint32_t(tensor.shape.size()));
        for (size_t i = tensor.shape.size(); i-- > 0;) put(out, tensor.shape[i]);
        put(out, row(tensor.type).id);
        put(out, offset);
        offset += aligned(tensor.bytes());
    }
    out.resize(aligned(out.size()), '\0');
    return out;
}

// Round to nearest even; NaN stays one.
uint16_t bfloat_of(float x) {
    const uint32_t word = std::bit_cast<uint32_t>(x);
    return std::isnan(x) ? uint16_t(word >> 16 | 64) : uint16_t((word + 0x7FFF + (word >> 16 & 1)) >> 16);
}

void append_q8_0(std::string& bytes, std::span<const float> values, const std::string& name) {
    REQUIRE(values.size() % block == 0);
    for (size_t at = 0; at < values.size(); at += block) {
        const std::span<const float> x = values.subspan(at, block);
        float largest = 0;
        for (const float value : x) largest = std::max(largest, std::abs(value));
        const float scale = largest / 127, inverse = scale > 0 ? 1 / scale : 0;
        const uint16_t half = half_of(scale);
        if (half >= 0x7C00)
            throw Error(Exit::numeric, "--type q8_0", "tensor " + name + " has values too large for its scales",
                        "take bf16 or f32");
        put(bytes, half);
        for (const float value : x) bytes += char(int8_t(std::round(value * inverse)));
    }
}

}  // namespace

// Adding a constant whose unit is the half's rounds as the processor does, to nearest even.
uint16_t half_of(float x) {
    const uint32_t word = std::bit_cast<uint32_t>(x), sign = word >> 16 & 0x8000;
    uint32_t bits = word & 0x7FFFFFFF;
    if (bits > 0x7F800000) return uint16_t(sign | 0x7E00);   // NaN
    if (bits >= 0x477FF000) return uint16_t(sign | 0x7C00);  // 65520 and above are nearest to infinity
    if (bits < 0x38800000)                                   // below 2^-14: multiples of 2^-24, to which 0.5 adds them
        return uint16_t(sign | (std::bit_cast<uint32_t>(std::bit_cast<float>(bits) + 0.5f) - 0x3F000000));
    bits += 0xFFF + (bits >> 13 & 1);
    return uint16_t(sign | (bits - 0x38000000) >> 13);
}

uint64_t Tensor::elements() const {
    uint64_t n = 1;
    for (const uint64_t extent : shape) n *= extent;
    return n;
}

uint64_t Tensor::bytes() const { return elements() / row(type).values * row(type).bytes; }

void append_values(std::string& bytes, GgufType type, std::span<const float> values, const std::string& name) {
    switch (type) {
        case GgufType::f32: bytes.append(reinterpret_cast<const char*>(values.data()), values.size_bytes()); break;
        case GgufType::bf16:
            for (const float x : values) put(bytes, bfloat_of(x));
            break;
        case GgufType::f16:
            for (const float x : values) {
                const uint16_t half = half_of(x);
                if ((half & 0x7FFF) >= 0x7C00)
                    throw Error(Exit::numeric, "--type f16",
                                "tensor " + name + " has the value " + std::to_string(x) + ", f16 ends at 65504",
                                "take bf16 or f32");
                put(bytes, half);
            }
            break;
        case GgufType::q8_0: append_q8_0(bytes, values, name); break;
    }
}

Writer::Writer(files::Writer& file, const Metadata& metadata, std::vector<Tensor> all)
    : file(file), tensors(std::move(all)) {
    const std::string text = head(metadata, tensors);
    file.write(text.data(), text.size());
    if (!tensors.empty()) left = tensors[0].bytes();
}

uint64_t Writer::file_bytes(const Metadata& metadata, const std::vector<Tensor>& tensors) {
    uint64_t n = head(metadata, tensors).size();
    for (const Tensor& tensor : tensors) n += aligned(tensor.bytes());
    return n;
}

void Writer::write(std::span<const float> values) {
    REQUIRE(current < tensors.size());
    const Tensor& tensor = tensors[current];
    constexpr size_t piece = 1 << 18;  // values converted at a time: whole blocks
    for (size_t at = 0; at < values.size(); at += piece) {
        buffer.clear();
        append_values(buffer, tensor.type, values.subspan(at, std::min(piece, values.size() - at)), tensor.name);
        REQUIRE(buffer.size() <= left);
        left -= buffer.size();
        if (left == 0) buffer.resize(buffer.size() + (aligned(tensor.bytes()) - tensor.bytes()), '\0');
        file.write(buffer.data(), buffer.size());
    }
    if (left == 0 && ++current < tensors.size()) left = tensors[current].bytes();
}

void Writer::finish() const { REQUIRE(current == tensors.size()); }

}  // namespace gguf
