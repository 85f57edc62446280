#include "bpe_published.h"
#include <algorithm>
#include "host/base/utf8.h"

namespace {

// o200k's file is also that of o200k_harmony, whose further special tokens it does not tell: it is read as the former.
const std::vector<Published>& published() {
    static const std::vector<Published> list = {
        {.tokens = 50256, .split = SplitRule::gpt2, .all = 50257, .specials = {{50256, "<|endoftext|>"}}},  // r50k
        {.tokens = 50280, .split = SplitRule::gpt2, .all = 50281, .specials = {{50256, "<|endoftext|>"}}},  // p50k
        {.tokens = 100256,
         .split = SplitRule::cl100k,
         .all = 100277,
         .specials = {{100257, "<|endoftext|>"},
                      {100258, "<|fim_prefix|>"},
                      {100259, "<|fim_middle|>"},
                      {100260, "<|fim_suffix|>"},
                      {100276, "<|endofprompt|>"}}},
        {.tokens = 199998,
         .split = SplitRule::o200k,
         .all = 200019,
         .specials = {{199999, "<|endoftext|>"}, {200018, "<|endofprompt|>"}}},
        {.tokens = 128000,  // Llama 3
         .split = SplitRule::llama3,
         .all = 128256,
         .specials = {{128000, "<|begin_of_text|>"},
                      {128001, "<|end_of_text|>"},
                      {128006, "<|start_header_id|>"},
                      {128007, "<|end_header_id|>"},
                      {128009, "<|eot_id|>"}},
         .begins_texts = true},
        {.tokens = 200000,  // Llama 4
         .split = SplitRule::o200k,
         .all = 202048,
         .specials = {{200000, "<|begin_of_text|>"},
                      {200001, "<|end_of_text|>"},
                      {200002, "<|fim_prefix|>"},
                      {200003, "<|fim_middle|>"},
                      {200004, "<|fim_suffix|>"},
                      {200005, "<|header_start|>"},
                      {200006, "<|header_end|>"},
                      {200007, "<|eom|>"},
                      {200008, "<|eot|>"},
                      {200016, "<|python_start|>"},
                      {200017, "<|python_end|>"},
                      {200018, "<|finetune_right_pad|>"},
                      {200080, "<|image_start|>"},
                      {200081, "<|image_end|>"},
                      {200090, "<|image|>"},
                      {200092, "<|patch|>"},
                      {201142, "<|reasoning_thinking_start|>"},
                      {201143, "<|reasoning_thinking_end|>"}},
         .begins_texts = true},
        {.tokens = 151643,  // Qwen
         .split = SplitRule::qwen2,
         .all = 151646,
         .specials = {{151643, "<|endoftext|>"}, {151644, "<|im_start|>"}, {151645, "<|im_end|>"}},
         .nfc = true},
    };
    return list;
}

}  // namespace

const Published* find_published(const std::vector<std::string>& tokens, std::optional<SplitRule> pattern) {
    const size_t gaps = size_t(std::count(tokens.begin(), tokens.end(), ""));
    for (const Published& v : published())
        if (v.tokens == tokens.size() - gaps && pattern.value_or(v.split) == v.split && fits(tokens, v.split))
            return &v;
    return nullptr;
}

bool is_published_gap(size_t tokens, size_t id) {
    return std::any_of(published().begin(), published().end(), [&](const Published& v) {
        return v.tokens == tokens &&
               std::any_of(v.specials.begin(), v.specials.end(), [&](const auto& s) { return size_t(s.first) == id; });
    });
}

bool fits(const std::vector<std::string>& tokens, SplitRule rule) {
    const auto cut = std::count_if(tokens.begin(), tokens.end(), [&](const std::string& token) {
        std::string text = token;
        return !text.empty() && repair_utf8(text) == 0 && piece_length(rule, token) != token.size();
    });
    constexpr size_t halves = 4;  // 'l, on the way to 'll, is cut too
    return size_t(cut) <= tokens.size() / 100 + halves;
}
