// Text from a model: one token after the other, each drawn from the logits of the last. What is said here
// holds with the cache (generator_cached.h) and without it.
#pragma once
#include <algorithm>
#include <functional>
#include <span>
#include <vector>
#include "host/base/error.h"
#include "host/reference/philox.h"
#include "host/reference/repetition.h"
#include "host/reference/sampling.h"

struct Generation {
    Sampling sampling = {};
    float repetition_penalty = 1;  // of tokens that stand in the prompt or were written; 1: none
    int tokens = 256;              // to write, at most
    uint64_t seed = 1;
    int context = 1024;  // the most tokens the model sees
    int separator = -1;  // the token before every document, if there is one: a model sees nothing before the latest
    std::vector<int> ends = {};  // tokens that end a text; they do not become part of it
    bool ends_at(int token) const { return std::ranges::find(ends, token) != ends.end(); }
};

// What is written depends on the prompt, the seed and the index alone, not on what is written at the same time.
struct GeneratedText {
    std::vector<int> tokens;  // the prompt, at least a token, and what was written
    uint32_t index = 0;       // which of several texts: each has random numbers of its own
    int written = 0;
};

constexpr uint32_t generation_counter = 0x6E57;

// The uniform number that the text's next token is drawn with.
inline float draw(const GeneratedText& text, const Generation& how) {
    return uniform(philox({{uint32_t(text.written), text.index, 0, generation_counter}}, how.seed).w[0]);
}

// The error of a text whose next token cannot be drawn.
inline Error not_finite(const GeneratedText& text) {
    return {Exit::numeric, "token " + std::to_string(text.written + 1) + " of text " + std::to_string(text.index + 1),
            "the model's logits are not finite", "are its weights whole, and none of them huge?"};
}

// What the model sees of a growing text: its latest document. Once that is longer than the context, the window moves on
// in steps of context / 2, so that positions and the KV cache stay valid between moves.
class ContextWindow {
public:
    explicit ContextWindow(const Generation& how) : context(how.context), separator(how.separator) {}
    void push(int token) {
        if (token == separator) document = count;
        count++;
    }
    size_t begin() const {
        const size_t length = count - document, half = std::max<size_t>(context / 2, 1);
        return length <= context ? document : document + (length - context + half - 1) / half * half;
    }
    size_t end() const { return count; }

private:
    size_t context;
    int separator;
    size_t count = 0, document = 0;
};

// Extends the text, calling `each` on every new token, until that returns false. next_logits is given what is visible.
// Throws Error{numeric} at logits that are no numbers.
inline void generate(GeneratedText& text, const Generation& how,
                     const std::function<std::vector<float>(std::span<const int>)>& next_logits,
                     const std::function<bool(int)>& each = {}) {
    ContextWindow view(how);
    for (int token : text.tokens) view.push(token);
    std::vector<unsigned char> seen;
    while (text.written < how.tokens) {
        std::vector<float> logits = next_logits({text.tokens.begin() + view.begin(), text.tokens.begin() + view.end()});
        if (how.repetition_penalty != 1) {
            seen.resize(logits.size());
            for (int token : text.tokens) seen[token] = 1;
            const int V = int(logits.size());
            repetition_forward(logits.data(), seen.data(), &text.tokens.back(), how.repetition_penalty, 1, V, V,
                               Cpu<float>());
        }
        if (is_broken(logits.data(), int(logits.size()))) throw not_finite(text);
        const int token = sample_row(logits.data(), how.sampling, draw(text, how), int(logits.size()));
        if (how.ends_at(token)) return;
        text.tokens.push_back(token);
        text.written++;
        view.push(token);
        if (each && !each(token)) return;
    }
}
