// Text from a model: one token after the other, each drawn from the logits of the last.
#pragma once
#include <functional>
#include <vector>
#include "reference/philox.h"
#include "reference/sampling.h"

struct Generation {
    Sampling sampling;
    int tokens = 256;
    uint64_t seed = 1;
    uint32_t index = 0;      // which of several samples: each has random numbers of its own
};

constexpr uint32_t generation_counter = 0x6E57;

// Extends `tokens`, calling `each` on every new token, until that returns false. next_logits takes at most `context` tokens: the latest are given,
// so a text may run on past the context. Token i depends on the prompt, seed, index and i alone.
inline void generate(std::vector<int>& tokens, const Generation& how, int context,
                     const std::function<std::vector<float>(const std::vector<int>&)>& next_logits,
                     const std::function<bool(int)>& each = {}) {
    for (int i = 0; i < how.tokens; i++) {
        const size_t kept = std::min(tokens.size(), size_t(context));
        const std::vector<float> logits = next_logits({tokens.end() - kept, tokens.end()});
        const Words words = philox({{uint32_t(i), how.index, 0, generation_counter}}, how.seed);
        tokens.push_back(sample_row(logits.data(), how.sampling, uniform(words.w[0]), int(logits.size())));
        if (each && !each(tokens.back())) return;
    }
}
