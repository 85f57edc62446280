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
    int context = 1024;      // the most tokens the model sees
    int separator = -1;      // the token before every document, if there is one: a model sees nothing before the latest
};

constexpr uint32_t generation_counter = 0x6E57;

// What the model sees of a text: the latest document of it, and of that the latest `context` tokens.
inline std::vector<int> visible(const std::vector<int>& tokens, const Generation& how) {
    auto begin = tokens.end() - std::min(tokens.size(), size_t(how.context));
    for (auto at = tokens.end(); how.separator >= 0 && at-- != begin;)
        if (*at == how.separator) { begin = at; break; }
    return {begin, tokens.end()};
}

// Extends `tokens`, calling `each` on every new token, until that returns false; next_logits is given what is visible.
// Token i depends on the prompt, seed, index and i alone.
inline void generate(std::vector<int>& tokens, const Generation& how,
                     const std::function<std::vector<float>(const std::vector<int>&)>& next_logits,
                     const std::function<bool(int)>& each = {}) {
    for (int i = 0; i < how.tokens; i++) {
        const std::vector<float> logits = next_logits(visible(tokens, how));
        const Words words = philox({{uint32_t(i), how.index, 0, generation_counter}}, how.seed);
        tokens.push_back(sample_row(logits.data(), how.sampling, uniform(words.w[0]), int(logits.size())));
        if (each && !each(tokens.back())) return;
    }
}
