// The built-in corpora: text drawn from a known distribution, so the loss no model can beat is known exactly.
//
// builtin:stories is drawn from an unambiguous probabilistic grammar (corpus_stories.h). A text has one derivation;
// its probability is the product of the derivation's choices. builtin:counting is lines that count: "7 8 9 10 11".
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

struct Corpus {
    std::string text;           // documents are lines: none is longer than 127 bytes and its newline
    std::vector<double> log_p;  // of every line with its newline, in nats; lines are independent
};

// "builtin:stories" or "builtin:counting". Always the same text. Throws Error{usage} for other names.
Corpus builtin_corpus(std::string_view name);
bool is_builtin(std::string_view name);

// Nats per token of the lines from `first_line` to the end, when they make `tokens` tokens (newlines counted).
double ideal_loss(std::span<const double> log_p, size_t first_line, uint64_t tokens);
