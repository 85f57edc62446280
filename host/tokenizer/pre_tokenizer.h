// The pre-tokenizer: cuts text into the pieces that byte-level BPE never merges across. The patterns of published
// tokenizers, as hand-written matchers. No regular expression of a file is ever executed; the closed set below is
// recognised by its text.
//
//   gpt2     GPT-2, r50k: contractions, letters, numbers, symbols, white space; a space goes with what follows it
//   llama3   Llama 3: contractions of any case, any one symbol before letters, numbers of up to three digits, lines
//   cl100k   the same as tiktoken now spells it: white space at the very end is one piece even if it holds line ends
//   qwen2    Qwen 2, 2.5 and 3: Llama 3's with one digit at a time
//   o200k    GPT-4o, gpt-oss, Llama 4: words with their marks, cut where a capital follows a small letter
//   digits   StarCoder, SmolLM: every digit by itself, GPT-2's between them
//   numbers  likewise with runs of digits
//   none     everything is one piece
#pragma once
#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include "host/base/names.h"

enum class SplitRule { gpt2, llama3, cl100k, qwen2, o200k, digits, numbers, none };
template <>
inline constexpr auto names_of<SplitRule> = std::to_array({"gpt2", "llama3", "cl100k", "qwen2", "o200k", "digits",
                                                           "numbers", "none"});
std::string split_rules();  // for people: "gpt2, llama3, ... or none"

// Length of the piece that starts at text[0]; text is not empty. A byte that is not UTF-8 is a symbol.
size_t piece_length(SplitRule rule, std::string_view text);

// The rule that this regular expression spells, if it is one of those we know.
std::optional<SplitRule> rule_of(std::string_view pattern);
std::string_view pattern_of(SplitRule rule);  // empty where no pattern says it: digits, numbers, none
