// A document as windows of the model's context that together score every token once, but for the first, before which
// nothing stands. The first window scores all it predicts; every later one starts `stride` tokens further and scores
// only the last `stride`, so that each token has at least context - stride others before it, where the document has
// them (https://huggingface.co/docs/transformers/perplexity).
#pragma once
#include <span>
#include <vector>
#include "host/base/error.h"

struct Segment {
    std::vector<int> tokens;  // all but the last are inputs, at most a context of them
    int scored = 1;           // tokens[scored ..] are the targets that count
    size_t targets() const { return tokens.size() - size_t(scored); }
};

class Windows {
public:
    // Separator: the token before every document; -1: none.
    Windows(int context, int stride, int separator)
        : context(size_t(context)), stride(size_t(stride)), separator(separator) {
        REQUIRE(stride >= 1 && stride <= context);
    }

    void begin() {
        waiting.clear();
        if (separator >= 0) waiting.push_back(separator);
        scored = 1;
    }
    void add(std::span<const int> tokens) {
        for (const int token : tokens) {
            waiting.push_back(token);
            if (waiting.size() == context + 1) emit();
        }
    }
    void end() {
        if (waiting.size() > scored) ready.push_back({waiting, int(scored)});
        waiting.clear();
    }

    std::vector<Segment> ready;  // whoever takes them clears it

private:
    void emit() {
        ready.push_back({waiting, int(scored)});
        waiting.erase(waiting.begin(), waiting.begin() + std::ptrdiff_t(stride));
        scored = waiting.size();
    }

    const size_t context, stride;
    const int separator;
    std::vector<int> waiting;
    size_t scored = 1;  // the first of `waiting` that nothing has scored yet
};
