// A random order of 0 .. n-1 that is never stored: place i is computed from i alone.
//
// A Feistel network of Philox rounds permutes the numbers of 2k bits, the smallest such power of 4 that holds n; a
// result of n or more is permuted again until it falls below n ("cycle walking"), which leaves a permutation of
// 0 .. n-1.
#pragma once
#include <algorithm>
#include <bit>
#include "host/reference/philox.h"

struct Permutation {
    uint64_t n, seed;
    uint32_t key;  // another key, another order

    uint64_t operator()(uint64_t i) const {
        do i = shuffle(i);
        while (i >= n);
        return i;
    }

private:
    uint64_t shuffle(uint64_t i) const {
        const int half = std::max(1, int(std::bit_width(n - 1) + 1) / 2);
        const uint64_t low_bits = (uint64_t(1) << half) - 1;
        uint64_t left = i >> half, right = i & low_bits;
        for (uint32_t round = 0; round < 6; round++) {
            const Words words = philox({{uint32_t(right), uint32_t(right >> 32), round, key}}, seed);
            const uint64_t mixed = left ^ ((words.w[0] | uint64_t(words.w[1]) << 32) & low_bits);
            left = right, right = mixed;
        }
        return left << half | right;
    }
};
