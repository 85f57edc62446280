// The ids of recent pieces, as most words of a text have occurred before. Of fixed size; a collision replaces the old
// entry.
#pragma once
#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

class PieceCache {
public:
    static constexpr size_t longest = 23;  // bytes of a piece
    static constexpr size_t most = 9;      // its tokens

    // The bytes of a piece, zeros behind them; its length in the last one.
    struct Key {
        std::array<uint64_t, 3> words{};
        explicit Key(std::string_view piece) {
            std::memcpy(words.data(), piece.data(), piece.size());
            words[2] |= uint64_t(piece.size()) << 56;
        }
        Key() = default;
        bool operator==(const Key&) const = default;
        size_t slot() const {
            uint64_t hash =
                words[0] * 0x9E3779B97F4A7C15u ^ words[1] * 0xC2B2AE3D27D4EB4Fu ^ words[2] * 0x165667B19E3779F9u;
            hash ^= hash >> 29;
            return size_t(hash * 0xBF58476D1CE4E5B9u >> (64 - bits));
        }
    };
    struct alignas(64) Entry {
        Key key;
        uint32_t count = 0;
        std::array<int, most> ids;
    };

    Entry& entry(const Key& key) { return entries[key.slot()]; }

private:
    static constexpr int bits = 15;
    std::vector<Entry> entries = std::vector<Entry>(size_t(1) << bits);
};
