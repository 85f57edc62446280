#include "prompts.h"
#include <fmt/core.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iostream>
#include <sstream>
#include "host/base/files.h"
#include "host/base/json.h"
#include "host/base/messages.h"
#include "host/base/progress.h"
#include "host/base/signals.h"
#include "host/base/text.h"

namespace {

constexpr uint64_t most_prompt_bytes = uint64_t(1) << 30;

std::string text_of_line(const std::string& line, const std::string& where) {
    const Json json = parse_json(line, where);
    if (json.is_string()) return json.get<std::string>();
    if (json.is_object() && json.contains("prompt") && json["prompt"].is_string())
        return json["prompt"].get<std::string>();
    throw Error(Exit::input, where, "has no text named \"prompt\"", "example: {\"prompt\": \"Once upon\"}");
}

// All of standard input.
std::string text_of_input() {
    std::string text;
    char some[1 << 16];
    for (ssize_t n = 1; n != 0;) {
        if (!wait_for_input(STDIN_FILENO)) throw Error(Exit::stopped, "standard input", "stopped by a signal");
        n = read(STDIN_FILENO, some, sizeof some);
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            throw Error(Exit::input, "standard input", std::strerror(errno));
        if (n > 0) text.append(some, size_t(n));
    }
    return text;
}

}  // namespace

std::vector<std::string> read_prompts(const std::string& path) {
    const bool input = path == "-";
    const std::string name = input ? "standard input" : path;
    std::istringstream lines(input ? text_of_input() : files::read_file(path, most_prompt_bytes));
    std::vector<std::string> prompts;
    int number = 0;
    for (std::string line; std::getline(lines, line);) {
        number++;
        if (line.ends_with('\r')) line.pop_back();
        if (line.find_first_not_of(" \t") == line.npos) continue;
        if (path.ends_with(".jsonl")) line = text_of_line(line, fmt::format("{}, line {}", name, number));
        if (line.empty())
            throw Error(Exit::input, fmt::format("{}, line {}", name, number), "the prompt is empty",
                        "leave the line out");
        prompts.push_back(line);
    }
    if (prompts.empty()) throw Error(Exit::input, name, "has no prompts", "it wants one on every line");
    return prompts;
}

std::vector<int> before_prompt(const Tokenizer& tokenizer, const SpecialTokens& special, std::optional<bool> bos) {
    if (bos.value_or(false) && special.bos < 0)
        throw Error(Exit::usage, "--bos", "the model's config.json names no bos_token_id", "leave it out");
    const std::vector<int> first = special.bos >= 0 ? std::vector{special.bos} : std::vector<int>();
    if (bos) return *bos ? first : std::vector<int>();
    return tokenizer.before_prompt().value_or(first);
}

std::vector<int> without_prompt(const Tokenizer& tokenizer, const SpecialTokens& special) {
    return special.bos >= 0 ? std::vector{special.bos} : tokenizer.encode("\n");
}

std::vector<int> prompt_tokens(const Tokenizer& tokenizer, std::vector<int> before, const std::string& prompt) {
    const std::vector<int> text = tokenizer.encode(prompt, Specials::recognised);
    const auto unknown = tokenizer.unknown < 0 ? 0 : std::count(text.begin(), text.end(), tokenizer.unknown);
    if (size_t(unknown) == text.size() && (!text.empty() || before.empty()))
        throw Error(Exit::usage, in_quotes(prompt), "none of it is in the model's vocabulary", "try another prompt");
    if (unknown)
        warn(fmt::format("{}: {} of its {} tokens are not in the model's vocabulary and are read as the unknown one",
                         in_quotes(prompt), unknown, text.size()));
    const bool there = text.size() >= before.size() && std::equal(before.begin(), before.end(), text.begin());
    if (there) before.clear();
    before.insert(before.end(), text.begin(), text.end());
    return before;
}

std::vector<int> prompt_tokens(const Tokenizer& tokenizer, const ModelDescription& model, const std::string& prompt,
                               const std::string& its_tokenizer, std::optional<bool> bos) {
    const int V = model.config.V;
    std::vector<int> tokens = prompt_tokens(tokenizer, before_prompt(tokenizer, model.special, bos), prompt);
    for (const int token : tokens)
        if (token >= V)
            throw Error(Exit::input, its_tokenizer,
                        fmt::format("the tokenizer has token {}, the model only {} tokens", token, V),
                        "do they belong together?");
    return tokens;
}

bool ask_for_prompt(std::string& prompt) {
    if (isatty(STDIN_FILENO)) print_piece("> ");
    const Interruptible here;
    if (!std::getline(std::cin, prompt)) return false;
    if (prompt.ends_with('\r')) prompt.pop_back();
    return true;
}

TextPrinter::TextPrinter(const Tokenizer& tokenizer, std::vector<std::string> beginnings)
    : waiting(std::move(beginnings)), ended(waiting.size()) {
    for (const std::string& beginning : waiting)
        decoders.push_back({tokenizer, beginning.empty() ? tokenizer.leading_spaces() : 0});
    if (!waiting.empty()) print_piece(waiting[0]);
}

void TextPrinter::show(size_t text, const std::string& piece) {
    if (text == current) print_piece(piece);
    else waiting[text] += piece;
}

void TextPrinter::end(size_t text) {
    show(text, decoders[text].flush() + "\n");
    ended[text] = true;
    while (current < ended.size() && ended[current])
        if (++current < ended.size()) print_piece("---\n" + waiting[current]);
}

void TextPrinter::finish() {
    if (current < ended.size()) print_piece(decoders[current].flush() + "\n");
}
