// The texts that `train_gpt sample` reads and prints.
#pragma once
#include <optional>
#include <string>
#include <vector>
#include "host/checkpoint/model_description.h"
#include "host/options/options.h"
#include "host/tokenizer/tokenizer.h"

// The prompts of a file (- is standard input): a line each, empty ones left out; of a .jsonl file, a string or an
// object with a "prompt" on every line. Throws Error{input} if there is none.
std::vector<std::string> read_prompts(const std::string& path);

// Asks for a line of standard input, on a terminal with a mark. False at its end, or at a signal.
bool ask_for_prompt(std::string& prompt);

// What stands before a prompt: what the tokenizer's files say, else the model's first token; `bos` overrides both.
std::vector<int> before_prompt(const Tokenizer& tokenizer, const SpecialTokens& special, std::optional<bool> bos);
// What a text begins with that nobody gave a prompt for: the model's first token, else a line feed.
std::vector<int> without_prompt(const Tokenizer& tokenizer, const SpecialTokens& special);
// What a model reads of a prompt. Throws Error{usage} if it knows nothing of it, and warns where it knows a part.
std::vector<int> prompt_tokens(const Tokenizer& tokenizer, std::vector<int> before, const std::string& prompt);
// The same. Throws Error{input} naming where the tokenizer is from if they do not belong together.
std::vector<int> prompt_tokens(const Tokenizer& tokenizer, const ModelDescription& model, const std::string& prompt,
                               const std::string& its_tokenizer, std::optional<bool> bos = {});

// Prints texts that are written at the same time, one after the other, with --- between them. The first unfinished one
// appears token by token; the others are printed when it is their turn.
class TextPrinter {
public:
    TextPrinter(const Tokenizer& tokenizer, std::vector<std::string> beginnings);
    void add(size_t text, int token) { show(text, decoders[text].push(token)); }
    void end(size_t text);
    void finish();  // where writing was stopped: ends the text that is being printed

private:
    void show(size_t text, const std::string& piece);

    std::vector<std::string> waiting;
    std::vector<StreamDecoder> decoders;
    std::vector<char> ended;
    size_t current = 0;
};
