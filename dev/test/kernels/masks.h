// Which keys the queries of attention's tests see.
#pragma once
#include <algorithm>
#include <random>
#include <vector>

enum class Mask { causal, documents, window, wide_window, alone };
constexpr Mask all_masks[] = {Mask::causal, Mask::documents, Mask::window, Mask::wide_window, Mask::alone};

// The first visible key of every query: of its document (cut at random places), of a sliding window, or itself: every
// document has one token. With the wide window the last query that sees a block of 128 keys begins a tile of its own.
inline std::vector<int> first_keys(Mask mask, int B, int T) {
    std::vector<int> first(size_t(B) * T);
    std::mt19937 random(3);
    for (int b = 0; b < B; b++)
        for (int t = 0, start = 0; t < T; t++) {
            if (random() % 13 == 0) start = t;
            const int visible = mask == Mask::window ? 5 : mask == Mask::wide_window ? 34 : 1;
            first[size_t(b) * T + t] = mask == Mask::documents ? start : std::max(0, t + 1 - visible);
        }
    return first;
}
