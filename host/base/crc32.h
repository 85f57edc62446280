// CRC-32, lowest bit first, begun and ended with all bits set.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>

constexpr uint32_t crc32_zip = 0xEDB88320,
                   crc32c = 0x82F63B78;  // polynomials: zip's and PNG's; Castagnoli's (RFC 3720)

template <uint32_t polynomial>
constexpr uint32_t crc32(std::string_view bytes) {
    constexpr auto table = [] {
        std::array<uint32_t, 256> table{};
        for (uint32_t i = 0; i < 256; i++) {
            table[i] = i;
            for (int bit = 0; bit < 8; bit++) table[i] = table[i] >> 1 ^ (table[i] & 1 ? polynomial : 0);
        }
        return table;
    }();
    uint32_t crc = ~0u;
    for (const char byte : bytes) crc = table[(crc ^ uint8_t(byte)) & 0xFF] ^ crc >> 8;
    return ~crc;
}
