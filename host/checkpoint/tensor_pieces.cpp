#include "tensor_pieces.h"
#include <cmath>
#include "host/base/error.h"

void TensorPieces::require_finite(std::span<const float> values, size_t first, const std::string& name) {
    const auto bad = std::find_if(values.begin(), values.end(), [](float x) { return !std::isfinite(x); });
    if (bad == values.end()) return;
    const size_t at = first + size_t(bad - values.begin());
    throw Error(Exit::numeric, name, "element " + std::to_string(at) + " is " + std::to_string(*bad), "not saved");
}
