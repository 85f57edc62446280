#include "init.h"
#include <algorithm>
#include <cmath>
#include "host/reference/philox.h"

namespace {
constexpr uint32_t initialisation = 0x1417;  // keeps these counters apart from dropout's, which have a step here

// Standard normal number `index` of tensor `parameter` (Box-Muller on 32-bit uniforms); `attempt` redraws.
double normal(uint64_t seed, int parameter, size_t index, uint32_t attempt) {
    const Words words =
        philox({{uint32_t(index), uint32_t(index >> 32) | attempt << 16, uint32_t(parameter), initialisation}}, ~seed);
    const double radius = std::sqrt(-2 * std::log((words.w[0] + 1.0) * 0x1p-32));
    return radius * std::cos(2 * M_PI * words.w[1] * 0x1p-32);
}

double standard_deviation(const Parameter& parameter, const Config& c) {
    if (c.init == InitScheme::cs336)
        return parameter.init == Init::embedding ? 1 : std::sqrt(2.0 / (parameter.shape[0] + parameter.shape[1]));
    return parameter.init == Init::residual && c.init == InitScheme::gpt2 ? c.init_std / std::sqrt(2.0 * c.L)
                                                                          : c.init_std;
}
}  // namespace

void initial_values(float* values, const Parameter& parameter, int index, const Config& config, uint64_t seed) {
    const size_t n = parameter.size();
    if (parameter.init == Init::zero || parameter.init == Init::one) {
        std::fill_n(values, n, parameter.init == Init::one ? 1.0f : 0.0f);
        return;
    }
    const double sigma = standard_deviation(parameter, config), limit = config.init == InitScheme::cs336 ? 3 : HUGE_VAL;
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < n; i++) {
        double z = normal(seed, index, i, 0);
        for (uint32_t attempt = 1; std::abs(z) > limit; attempt++) z = normal(seed, index, i, attempt);
        values[i] = float(sigma * z);
    }
}
