// Questions of public datasets, a JSON object a line, as lm-evaluation-harness puts them to a model:
//
//   HellaSwag    activity_label, ctx_a, ctx_b, endings, label: cleaned of WikiHow's brackets
//   ARC          question, choices {text, label}, answerKey; or AI2's own, where question has stem and choices
//   PIQA         goal, sol1, sol2, label; or the label in a file beside it, valid-labels.lst of valid.jsonl
//   WinoGrande   sentence with a _, option1, option2, answer: the rest of the sentence is scored behind each option
//
// and a plain one, {"ctx": ..., "endings": [...], "label": 0}, asked as it is, as llm.c does.
#pragma once
#include <string>
#include <string_view>
#include <vector>
#include "host/base/json.h"

struct QuestionText {
    std::vector<std::string> contexts;  // of each ending
    std::vector<std::string> endings;   // each follows its context and a space
    int label = 0;
    // Whether a context and its ending are encoded together, as the harness does, or each by itself, as llm.c does.
    bool together = true;
};

// `label_beside`: of PIQA, where the line has none. Throws Error{input} naming `where` and what is wrong.
QuestionText question_text(const Json& line, const std::string& label_beside, const std::string& where);

std::string clean_hellaswag(std::string_view text);
std::string capitalized(std::string_view text);          // the first letter large, all others small, as Python has it
std::string_view without_spaces(std::string_view text);  // at both ends
size_t trailing_spaces(std::string_view text);           // bytes of white space at its end
