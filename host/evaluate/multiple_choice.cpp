#include "multiple_choice.h"
#include <algorithm>
#include <cstring>
#include "host/base/files.h"
#include "host/base/json.h"
#include "host/base/messages.h"

namespace {

constexpr uint64_t longest_file = uint64_t(4) << 30;
constexpr uint32_t magic = 20240522, version = 1, header_bytes = 1024;
constexpr uint16_t start_of_question = 65535;

int label_of(const Json& json, size_t endings, const std::string& where) {
    const Json label = json.value("label", Json());
    const std::string text = label.is_string() ? label.get<std::string>() : label.dump();  // some write it as text
    for (size_t i = 0; i < endings; i++)
        if (text == std::to_string(i)) return int(i);
    throw Error(Exit::input, where, "its label is " + label.dump() + ", not a number below " + std::to_string(endings),
                "questions without an answer cannot be scored");
}

Question question_of(const Json& json, const Tokenizer& tokenizer, const std::vector<int>& before,
                     const std::string& where) {
    if (!json.is_object() || !json.contains("ctx") || !json["ctx"].is_string())
        throw Error(Exit::input, where, "has no \"ctx\" that is text",
                    "lines look like {\"ctx\": ..., \"endings\": [...], \"label\": 0}");
    if (!json.contains("endings") || !json["endings"].is_array() || json["endings"].size() < 2)
        throw Error(Exit::input, where, "has no \"endings\", a list of two or more");
    Question q{.context = before, .endings = {}, .bytes = {}, .label = label_of(json, json["endings"].size(), where)};
    const std::vector<int> context = tokenizer.encode(json["ctx"].get<std::string>());
    q.context.insert(q.context.end(), context.begin(), context.end());
    if (q.context.empty()) throw Error(Exit::input, where, "its context is empty: nothing stands before the endings");
    for (const Json& ending : json["endings"]) {
        if (!ending.is_string() || ending.get<std::string>().empty())
            throw Error(Exit::input, where, "an ending is not text, or empty");
        const std::string text = ending.get<std::string>();
        q.endings.push_back(tokenizer.encode(" " + text, Specials::as_text, Place::middle));
        q.bytes.push_back(text.size());
    }
    return q;
}

std::vector<Question> read_lines(const std::string& path, const Tokenizer& tokenizer, const std::vector<int>& before) {
    const std::string text = files::read_file(path, longest_file);
    std::vector<Question> questions;
    size_t line = 0;
    for (size_t begin = 0, end; begin < text.size(); begin = end + 1) {
        end = std::min(text.find('\n', begin), text.size());
        const std::string_view row = std::string_view(text).substr(begin, end - begin);
        line++;
        if (row.find_first_not_of(" \t\r") == row.npos) continue;
        const std::string where = path + ": line " + std::to_string(line);
        questions.push_back(question_of(parse_json(row, where), tokenizer, before, where));
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
        q.endings.resize(numbers.next());
        if (q.endings.size() < 2 || size_t(q.label) >= q.endings.size())
            numbers.refuse("its label is not one of its endings");
        q.context = numbers.tokens(vocab);
        for (std::vector<int>& ending : q.endings) {
            ending = numbers.tokens(vocab);
            const std::string text = tokenizer ? tokenizer->decode(ending) : "";
            if (tokenizer) q.bytes.push_back(text.size() - text.starts_with(' '));
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

Segment segment_of(const Question& q, size_t ending, int context, const std::string& where) {
    const std::vector<int>& end = q.endings[ending];
    if (end.size() > size_t(context))
        throw Error(Exit::input, where,
                    "an ending has " + std::to_string(end.size()) + " tokens, more than the context of " +
                        std::to_string(context));
    const size_t kept = std::min(q.context.size(), size_t(context) + 1 - end.size());
    Segment segment{{q.context.end() - std::ptrdiff_t(kept), q.context.end()}, int(kept)};
    segment.tokens.insert(segment.tokens.end(), end.begin(), end.end());
    return segment;
}

Answers count_answers(const std::vector<Question>& questions, const std::vector<double>& nats) {
    Answers answers;
    answers.questions = questions.size();
    const bool bytes = std::all_of(questions.begin(), questions.end(), [](const Question& q) {
        return !q.bytes.empty() && std::find(q.bytes.begin(), q.bytes.end(), 0u) == q.bytes.end();
    });
    if (bytes) answers.acc_bytes = 0;
    auto at = nats.begin();
    for (const Question& q : questions) {
        const std::vector<double> sum(at, at + std::ptrdiff_t(q.endings.size()));
        std::vector<double> by_token(sum), by_byte(sum);
        for (size_t i = 0; i < sum.size(); i++) {
            by_token[i] /= double(q.endings[i].size());
            if (bytes) by_byte[i] /= double(q.bytes[i]);
        }
        answers.acc += least(sum) == size_t(q.label);
        answers.acc_norm += least(by_token) == size_t(q.label);
        if (bytes) *answers.acc_bytes += least(by_byte) == size_t(q.label);
        at += std::ptrdiff_t(sum.size());
    }
    return answers;
}
