// Questions with several endings of which the model is to find the right one, as in HellaSwag. Two kinds of files:
//
//   JSON lines   {"ctx": "A man sits on a roof. he", "endings": ["starts pulling up roofing.", ...], "label": 0}
//   .bin         llm.c's: 256 32-bit integers (20240522, 1, questions, bytes of the longest), then 16-bit numbers:
//                65535, bytes of the question, its number, label, endings; length and tokens of the context, and of
//                each ending
//
// An ending is what follows the context and a space. Three answers are counted:
//
//   acc         the likeliest ending                        as in llm.c and lm-evaluation-harness
//   acc_norm    the likeliest by the token, its mean loss   llm.c's acc_norm
//   acc_bytes   the likeliest by the byte                   lm-evaluation-harness's acc_bytes (its acc_norm divides by
//                                                           characters)
#pragma once
#include <optional>
#include <string>
#include "host/tokenizer/tokenizer.h"
#include "sliding_windows.h"

struct Question {
    std::vector<int> context;
    std::vector<std::vector<int>> endings;
    std::vector<uint64_t> bytes;  // of the endings, without their space; empty: not known
    int label = 0;
};

// `before`: tokens in front of every context of JSON lines. Throws Error{input} naming
// line or question and what is wrong.
std::vector<Question> read_questions(const std::string& path, const Tokenizer* tokenizer,
                                     const std::vector<int>& before, int vocab);

// The context and an ending, of which the ending is scored; a context that is too long keeps its end. Throws
// Error{input} if the ending alone is too long.
Segment segment_of(const Question& question, size_t ending, int context, const std::string& where);

struct Answers {
    uint64_t questions = 0, cut = 0, acc = 0, acc_norm = 0;
    std::optional<uint64_t> acc_bytes;
};

// nats: of all endings of all questions, one after the other.
Answers count_answers(const std::vector<Question>& questions, const std::vector<double>& nats);
