// Byte-level BPE as files other than tokenizer.json. All throw Error{input} naming `what` and the part that cannot be.
// Nothing of a file is executed.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include "pre_tokenizer.h"
#include "tokenizer.h"

// tiktoken's: a line for every token, its bytes in base64 and its rank. Such a file does not say how text is cut into
// pieces nor what its special tokens are. Both are known of published vocabularies, by their size and by whether the
// rule leaves their tokens whole; of others somebody must name the rule, and there are no special tokens.
Tokenizer bpe_from_tiktoken(std::string_view text, const std::string& what, std::optional<SplitRule> pattern = {});
bool looks_like_ranks(std::string_view text);  // whether the first line is base64, a space and digits

// GPT-2's vocab.json and merges.txt, or others that cut text as it does; Qwen's is known by its size. `pattern` as
// above.
Tokenizer bpe_from_vocab_and_merges(std::string_view vocab, std::string_view merges, const std::string& what,
                                    std::optional<SplitRule> pattern = {});
