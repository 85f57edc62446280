// Tokens on the host, as a model takes them.
#pragma once
#include <algorithm>
#include <cstddef>
#include <vector>
#include "host/reference/cross_entropy.h"

// B sequences of T. `first` is empty where every earlier token is visible.
struct HostBatch {
    int B = 0, T = 0;
    std::vector<int> token, target, position, first;  // (B,T)
    size_t valid() const { return target.size() - std::count(target.begin(), target.end(), ignored_target); }
};
