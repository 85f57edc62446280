// Which tile of a matmul's result a block owns.
#pragma once
#include <algorithm>

// Blocks run roughly in the order of their numbers: those that run together share `high` rows of tiles and few columns,
// and so find most of a and b in the L2 cache.
struct LinearPlace {
    int m, n;
};
__device__ inline LinearPlace linear_place(int number, int down, int across, int high = 8) {
    const int first = number / (high * across) * high, rows = std::min(high, down - first),
              inside = number % (high * across);
    return {first + inside % rows, inside / rows};
}
