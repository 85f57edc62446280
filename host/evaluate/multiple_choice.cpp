#include "multiple_choice.h"
#include <algorithm>
#include <cstring>
#include <sstream>
#include "host/base/files.h"
#include "host/base/json.h"
#include "host/base/messages.h"
#include "question_formats.h"

namespace {

constexpr uint64_t longest_file = uint64_t(4) << 30;
constexpr uint32_t magic = 20240522, version = 1, header_bytes = 1024;
constexpr uint16_t start_of_question = 65535;

uint64_t characters_in(std::string_view text) {
    return uint64_t(std::ranges::count_if(text, [](char c) { return (uint8_t(c) & 0xC0) != 0x80; }));
}

// Together: white space at the context's end goes to the ending, and what is longer than the context's tokens is the
// ending, as in lm-evaluation-harness.
Choice choice_of(const QuestionText& text, size_t k, const Tokenizer& tokenizer, const std::vector<int>& before) {
    const std::string &context = text.contexts[k], &ending = text.endings[k];
    Choice c{.context = before, .ending = {}, .bytes = ending.size(), .characters = characters_in(ending)};
    const std::string_view kept =
        text.together ? std::string_view(context).substr(0, context.size() - trailing_spaces(context)) : context;
    std::vector<int> tokens = tokenizer.encode(kept);
    if (text.together) {
        const std::vector<int> whole = tokenizer.encode(context + " " + ending);
        const size_t n = std::min(tokens.size(), whole.size());
        tokens.assign(whole.begin(), whole.begin() + std::ptrdiff_t(n));
        c.ending.assign(whole.begin() + std::ptrdiff_t(n), whole.end());
    } else {
        c.ending = tokenizer.encode(" " + ending, Specials::as_text, Place::middle);
    }
    c.context.insert(c.context.end(), tokens.begin(), tokens.end());
    return c;
}

Question question_of(const QuestionText& text, const Tokenizer& tokenizer, const std::vector<int>& before,
                     const std::string& where) {
    Question q{.choices = {}, .label = text.label};
    for (size_t k = 0; k < text.endings.size(); k++) {
        q.choices.push_back(choice_of(text, k, tokenizer, before));
        if (q.choices.back().context.empty())
            throw Error(Exit::input, where, "its context is empty: nothing stands before the endings");
        if (q.choices.back().ending.empty())
            throw Error(Exit::input, where, "an ending has no token of its own behind its context");
    }
    return q;
}

// PIQA's labels, a line each, in valid-labels.lst beside valid.jsonl; none: there is no such file.
std::vector<std::string> labels_beside(const std::string& path) {
    std::vector<std::string> labels;
    const std::string file = path.substr(0, path.rfind('.')) + "-labels.lst";
    if (!path.ends_with(".jsonl") || !files::exists(file)) return labels;
    std::istringstream lines(files::read_file(file, longest_file));
    for (std::string line; std::getline(lines, line);) labels.emplace_back(without_spaces(line));
    return labels;
}

std::vector<Question> read_lines(const std::string& path, const Tokenizer& tokenizer, const std::vector<int>& before) {
    const std::string text = files::read_file(path, longest_file);
    const std::vector<std::string> labels = labels_beside(path);
    std::vector<Question> questions;
    size_t line = 0;
    for (size_t begin = 0, end; begin < text.size(); begin = end + 1) {
        end = std::min(text.find('\n', begin), text.size());
        const std::string_view row = std::string_view(text).substr(begin, end - begin);
        line++;
        if (row.find_first_not_of(" \t\r") == row.npos) continue;
        const std::string where = path + ": line " + std::to_string(line);
        const std::string label = line <= labels.size() ? labels[line - 1] : "";
        questions.push_back(question_of(question_text(parse_json(row, where), label, where), tokenizer, before, where));
    }
    return questions;
}

// The 16-bit numbers of an llm.c file, none read beyond the end.
class Numbers {
public:
    Numbers(const std::string& path, std::string bytes) : path(path), bytes(std::move(bytes)) {}
    uint16_t next() {
        if (at + 2 > bytes.size()) refuse("ends in the middle of a question");
        uint16_t value;
        std::memcpy(&value, bytes.data() + at, sizeof value);
        at += sizeof value;
        return value;
    }
    std::vector<int> tokens(int vocab) {
        std::vector<int> all(next());
        if (all.empty()) refuse("a context or an ending is empty");
        for (int& token : all)
            if ((token = next()) >= vocab)
                refuse("token " + std::to_string(token) + " is outside the model's vocabulary of " +
                       std::to_string(vocab));
        return all;
    }
    [[noreturn]] void refuse(const std::string& reason) const {
        throw Error(Exit::input, path + ": question " + std::to_string(question), reason,
                    "it is damaged, or not for this model");
    }
    uint32_t question = 0;
    size_t at = header_bytes;

private:
    const std::string& path;
    const std::string bytes;
};

std::vector<Question> read_bin(const std::string& path, const Tokenizer* tokenizer, int vocab) {
    std::string bytes = files::read_file(path, longest_file);
    uint32_t head[3] = {};
    if (bytes.size() >= header_bytes) std::memcpy(head, bytes.data(), sizeof head);
    if (head[0] != magic || head[1] != version)
        throw Error(Exit::input, path, "is not llm.c's file of questions (" + std::to_string(magic) + ", version 1)",
                    "its dev/data/hellaswag.py writes them");
    std::vector<Question> questions;
    Numbers numbers(path, std::move(bytes));
    for (uint32_t i = 0; i < head[2]; i++) {
        const size_t begin = numbers.at;
        numbers.question = i;
        if (numbers.next() != start_of_question) numbers.refuse("does not begin with 65535");
        const size_t size = numbers.next();
        numbers.next();  // its number, which 16 bits may not hold
        Question q;
        q.label = numbers.next();
        q.choices.resize(numbers.next());
        if (q.choices.size() < 2 || size_t(q.label) >= q.choices.size())
            numbers.refuse("its label is not one of its endings");
        const std::vector<int> context = numbers.tokens(vocab);
        for (Choice& choice : q.choices) {
            choice.context = context;
            choice.ending = numbers.tokens(vocab);
            std::string_view text;
            const std::string decoded = tokenizer ? tokenizer->decode(choice.ending) : "";
            text = decoded;
            if (text.starts_with(' ')) text.remove_prefix(1);
            choice.bytes = text.size(), choice.characters = characters_in(text);
        }
        if (numbers.at - begin != size) numbers.refuse("has another length than it says");
        questions.push_back(std::move(q));
    }
    return questions;
}

size_t least(const std::vector<double>& values) {
    return size_t(std::min_element(values.begin(), values.end()) - values.begin());
}

}  // namespace

std::vector<Question> read_questions(const std::string& path, const Tokenizer* tokenizer,
                                     const std::vector<int>& before, int vocab) {
    const bool bin = path.ends_with(".bin");
    if (!bin && !tokenizer)
        throw Error(Exit::usage, printable(path), "is text, but the model has no tokenizer", "give --tokenizer FILE");
    std::vector<Question> questions = bin ? read_bin(path, tokenizer, vocab) : read_lines(path, *tokenizer, before);
    if (questions.empty()) throw Error(Exit::input, path, "holds no question");
    return questions;
}

Segment segment_of(const Choice& choice, int context, const std::string& where) {
    const std::vector<int>&before = choice.context, &end = choice.ending;
    if (end.size() > size_t(context))
        throw Error(Exit::input, where,
                    "an ending has " + std::to_string(end.size()) + " tokens, more than the context of " +
                        std::to_string(context));
    const size_t kept = std::min(before.size(), size_t(context) + 1 - end.size());
    Segment segment{{before.end() - std::ptrdiff_t(kept), before.end()}, int(kept)};
    segment.tokens.insert(segment.tokens.end(), end.begin(), end.end());
    return segment;
}

Answers count_answers(const std::vector<Question>& questions, const std::vector<double>& nats) {
    Answers answers;
    answers.questions = questions.size(), answers.nats = nats;
    const bool texts = std::ranges::all_of(questions, [](const Question& q) {
        return std::ranges::all_of(q.choices, [](const Choice& c) { return c.bytes > 0; });
    });
    if (texts) answers.acc_norm = answers.acc_bytes = 0;
    auto at = nats.begin();
    for (const Question& q : questions) {
        const auto is_right = [&](auto length) {
            std::vector<double> losses;
            for (size_t k = 0; k < q.choices.size(); k++)
                losses.push_back(at[std::ptrdiff_t(k)] / length(q.choices[k]));
            return least(losses) == size_t(q.label);
        };
        answers.acc += is_right([](const Choice&) { return 1.0; });
        answers.acc_tokens += is_right([](const Choice& c) { return double(c.ending.size()); });
        if (texts) *answers.acc_norm += is_right([](const Choice& c) { return double(c.characters); });
        if (texts) *answers.acc_bytes += is_right([](const Choice& c) { return double(c.bytes); });
        at += std::ptrdiff_t(q.choices.size());
    }
    return answers;
}

std::string answers_lines(const std::vector<Question>& questions, const std::vector<double>& nats) {
    std::string text;
    auto at = nats.begin();
    for (size_t i = 0; i < questions.size(); i++) {
        const std::vector<Choice>& choices = questions[i].choices;
        const std::vector<double> losses(at, at + std::ptrdiff_t(choices.size()));
        at += std::ptrdiff_t(choices.size());
        Json line = {{"question", i}, {"label", questions[i].label}, {"chosen", least(losses)}, {"nats", losses}};
        for (const Choice& choice : choices) line["tokens"].push_back(choice.ending.size());
        text += line.dump() + "\n";
    }
    return text;
}
