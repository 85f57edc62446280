// Questions with several endings of which the model is to find the right one. Two kinds of files:
//
//   JSON lines   of HellaSwag, ARC, PIQA and WinoGrande, and a plain format (question_formats.h)
//   .bin         llm.c's: 256 32-bit integers (20240522, 1, questions, bytes of the longest), then 16-bit numbers:
//                65535, bytes of the question, its number, label, endings; length and tokens of the context, and of
//                each ending
//
// An ending is what follows the context and a space. Four answers are counted:
//
//   acc         the likeliest ending                 as in llm.c and lm-evaluation-harness
//   acc_norm    the likeliest by the character       lm-evaluation-harness's acc_norm
//   acc_bytes   the likeliest by the byte            lm-evaluation-harness's acc_bytes
//   acc_tokens  the likeliest by the token           llm.c's acc_norm
#pragma once
#include <optional>
#include <string>
#include "host/tokenizer/tokenizer.h"
#include "sliding_windows.h"

struct Choice {
    std::vector<int> context, ending;
    uint64_t bytes = 0, characters = 0;  // of the ending, without its space; 0: not known
};

struct Question {
    std::vector<Choice> choices;
    int label = 0;
};

// `before`: tokens in front of every context of JSON lines. Throws Error{input} naming
// line or question and what is wrong.
std::vector<Question> read_questions(const std::string& path, const Tokenizer* tokenizer,
                                     const std::vector<int>& before, int vocab);

// The context and the ending, of which the ending is scored; a context that is too long keeps its end. Throws
// Error{input} if the ending alone is too long.
Segment segment_of(const Choice& choice, int context, const std::string& where);

struct Answers {
    uint64_t questions = 0, cut = 0, acc = 0, acc_tokens = 0;
    std::optional<uint64_t> acc_norm, acc_bytes;  // where the endings' texts are known
    std::vector<double> nats = {};                // of every ending
};

// nats: of all endings of all questions, one after the other.
Answers count_answers(const std::vector<Question>& questions, const std::vector<double>& nats);

// A line of JSON for every question: {"question": 0, "label": 1, "chosen": 2, "nats": [...], "tokens": [...]}, of each
// ending its loss and how many tokens it has.
std::string answers_lines(const std::vector<Question>& questions, const std::vector<double>& nats);
