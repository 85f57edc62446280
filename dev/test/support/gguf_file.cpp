#include "gguf_file.h"
#include <cmath>
#include <cstring>
#include <stdexcept>
#include "host/base/files.h"

namespace {

struct Bytes {
    const std::string& all;
    size_t at = 0;

    std::string take(uint64_t n) {
        if (n > all.size() - at) throw std::runtime_error("GGUF: ends at byte " + std::to_string(at));
        at += n;
        return all.substr(at - n, n);
    }
    template <class T>
    T number() {
        T x;
        std::memcpy(&x, take(sizeof x).data(), sizeof x);
        return x;
    }
    std::string text() { return take(number<uint64_t>()); }

    double number_of(uint32_t type) {
        switch (type) {
            case 0: return number<uint8_t>();
            case 4: return number<uint32_t>();
            case 5: return number<int32_t>();
            case 6: return number<float>();
            case 10: return double(number<uint64_t>());
        }
        throw std::runtime_error("GGUF: type " + std::to_string(type));
    }
    GgufValue value(uint32_t type) {
        if (type == 7) return number<uint8_t>() != 0;
        if (type == 8) return text();
        if (type != 9) return number_of(type);
        GgufArray array{number<uint32_t>(), {}, {}};
        const uint64_t n = number<uint64_t>();
        for (uint64_t i = 0; i < n; i++) {
            if (array.type == 8) array.texts.push_back(text());
            else array.numbers.push_back(number_of(array.type));
        }
        return array;
    }
};

double half(uint16_t h) {
    const int exponent = h >> 10 & 31, mantissa = h & 1023;
    const double x = exponent == 0    ? std::ldexp(mantissa, -24)
                     : exponent == 31 ? (mantissa ? NAN : INFINITY)
                                      : std::ldexp(1024 + mantissa, exponent - 25);
    return h >> 15 ? -x : x;
}

struct BlockSize {
    uint64_t values, bytes;
};
BlockSize block_of(uint32_t type) {
    switch (type) {
        case 0: return {1, 4};
        case 1:
        case 30: return {1, 2};
        case 8: return {32, 34};
    }
    throw std::runtime_error("GGUF: tensors of type " + std::to_string(type));
}

uint64_t bytes_of(const GgufTensor& tensor) {
    uint64_t n = 1;
    for (const uint64_t extent : tensor.shape) n *= extent;
    const BlockSize block = block_of(tensor.type);
    if (tensor.shape.at(0) % block.values) throw std::runtime_error("GGUF: a row that is no whole number of blocks");
    return n / block.values * block.bytes;
}

uint64_t aligned(uint64_t n) { return (n + 31) / 32 * 32; }

}  // namespace

std::vector<float> GgufTensor::values() const {
    std::vector<float> all;
    const BlockSize block = block_of(type);
    for (size_t at = 0; at < bytes.size(); at += block.bytes) {
        const char* x = bytes.data() + at;
        uint16_t word;
        std::memcpy(&word, x, sizeof word);
        if (type == 0) {
            float value;
            std::memcpy(&value, x, sizeof value);
            all.push_back(value);
        } else if (type == 1) {
            all.push_back(float(half(word)));
        } else if (type == 30) {
            const uint32_t wide = uint32_t(word) << 16;
            float value;
            std::memcpy(&value, &wide, sizeof value);
            all.push_back(value);
        } else {
            for (int i = 0; i < 32; i++) all.push_back(float(half(word)) * float(int8_t(x[2 + i])));
        }
    }
    return all;
}

GgufFile::GgufFile(const std::string& path) {
    const std::string all = files::read_file(path, 1 << 30);
    Bytes bytes{all};
    if (bytes.take(4) != "GGUF" || bytes.number<uint32_t>() != 3) throw std::runtime_error("GGUF: no version 3");
    const uint64_t n_tensors = bytes.number<uint64_t>(), n_keys = bytes.number<uint64_t>();
    for (uint64_t i = 0; i < n_keys; i++) {
        const std::string key = bytes.text();
        if (!keys.emplace(key, bytes.value(bytes.number<uint32_t>())).second)
            throw std::runtime_error("GGUF: " + key + " stands twice");
    }
    uint64_t expected = 0;
    for (uint64_t i = 0; i < n_tensors; i++) {
        order.push_back(bytes.text());
        GgufTensor& tensor = tensors[order.back()];
        for (uint32_t d = bytes.number<uint32_t>(); d > 0; d--) tensor.shape.push_back(bytes.number<uint64_t>());
        tensor.type = bytes.number<uint32_t>();
        if (bytes.number<uint64_t>() != expected)
            throw std::runtime_error("GGUF: " + order.back() + " has a gap before it");
        expected += aligned(bytes_of(tensor));
    }
    if (tensors.size() != order.size()) throw std::runtime_error("GGUF: a tensor stands twice");
    bytes.take(aligned(bytes.at) - bytes.at);
    for (const std::string& name : order) {
        tensors[name].bytes = bytes.take(bytes_of(tensors[name]));
        bytes.take(aligned(bytes.at) - bytes.at);
    }
    if (bytes.at != all.size()) throw std::runtime_error("GGUF: something behind the last tensor");
}
