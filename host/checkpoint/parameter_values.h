// How the values of a model's rows come out of it and go into it: whoever has them, on whatever device,
// gives these two.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include "host/model/layout.h"

using GetParameter =
    std::function<void(const Parameter&, size_t first, std::span<float> out)>;  // its values from `first` on
using SetParameter = std::function<void(const Parameter&, std::span<const float>)>;

struct WrittenFile {
    std::string name;
    uint64_t size, hash;
};
