// Byte-pair merging: which two neighbouring tokens become which third, lowest rank first, leftmost among equals.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

struct Merge {
    uint32_t rank = ~0u;  // lower merges first; ~0u: never
    int token = -1;       // what the two become
};

// From a pair of tokens to its merge: open addressing, a power of two of slots, at most half of them taken.
class MergeTable {
public:
    void reserve(size_t merges);
    void insert(int left, int right, Merge merge);  // of a pair given twice the later merge counts
    Merge find(int left, int right) const {
        if (slots.empty()) return {};
        const uint64_t key = uint64_t(uint32_t(left)) << 32 | uint32_t(right);
        for (size_t i = home(key);; i = (i + 1) & (slots.size() - 1)) {
            if (slots[i].key == key) return slots[i].merge;
            if (slots[i].key == empty) return {};
        }
    }

private:
    static constexpr uint64_t empty = ~uint64_t(0);  // no token is -1
    struct Slot {
        uint64_t key = empty;
        Merge merge;
    };
    size_t home(uint64_t key) const { return size_t((key * 0x9E3779B97F4A7C15u) >> shift); }
    std::vector<Slot> slots;
    int shift = 64;
};

// Appends the tokens of a piece that `tokens` are the single bytes of.
// Takes time linear in their number but for a logarithm.
void merge_piece(std::vector<int>& out, std::span<int> tokens, const MergeTable& table);
