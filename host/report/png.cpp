#include "png.h"
#include <algorithm>
#include "host/base/crc32.h"
#include "host/base/error.h"

namespace {

std::string big_endian(uint32_t x) { return {char(x >> 24), char(x >> 16), char(x >> 8), char(x)}; }

std::string chunk(const std::string& name, const std::string& data) {
    return big_endian(uint32_t(data.size())) + name + data + big_endian(crc32<crc32_zip>(name + data));
}

// zlib's frame around blocks that are not compressed: the pictures are too small to matter.
std::string stored(const std::string& data) {
    std::string out = "\x78\x01";
    for (size_t at = 0; at < data.size(); at += 65535) {
        const size_t n = std::min<size_t>(65535, data.size() - at);
        out += char(at + n == data.size());
        for (const size_t x : {n, ~n}) out += char(x), out += char(x >> 8);
        out.append(data, at, n);
    }
    uint32_t a = 1, b = 0;
    for (const char byte : data) a = (a + uint8_t(byte)) % 65521, b = (b + a) % 65521;
    return out + big_endian(b << 16 | a);
}

}  // namespace

std::string png(const std::vector<uint8_t>& opacity, int width, int height, Colour colour) {
    REQUIRE(width > 0 && height > 0 && opacity.size() == size_t(width) * size_t(height));
    std::string palette, transparency, rows;
    for (int i = 0; i < 256; i++) {
        palette += {char(colour.red), char(colour.green), char(colour.blue)};
        transparency += char(i);
    }
    for (int y = 0; y < height; y++) {
        rows += '\0';  // no filter
        for (int x = 0; x < width; x++) rows += char(opacity[size_t(y) * size_t(width) + size_t(x)]);
    }
    const std::string kind{8, 3, 0, 0, 0};  // 8 bits, indices into a palette
    return "\x89PNG\r\n\x1A\n" + chunk("IHDR", big_endian(uint32_t(width)) + big_endian(uint32_t(height)) + kind) +
           chunk("PLTE", palette) + chunk("tRNS", transparency) + chunk("IDAT", stored(rows)) + chunk("IEND", "");
}

std::string base64(std::string_view bytes) {
    constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string out;
    for (size_t i = 0; i < bytes.size(); i += 3) {
        uint32_t group = 0;
        for (size_t k = 0; k < 3; k++) group = group << 8 | (i + k < bytes.size() ? uint8_t(bytes[i + k]) : 0);
        for (size_t k = 0; k < 4; k++) out += i + k <= bytes.size() ? digits[group >> (18 - 6 * k) & 63] : '=';
    }
    return out;
}
