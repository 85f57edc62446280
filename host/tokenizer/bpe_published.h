// Vocabularies that are published as files of tokens only: what such a file does not say.
#pragma once
#include <optional>
#include <string>
#include <utility>
#include <vector>
#include "pre_tokenizer.h"

// Known by how many tokens its file has. Ids between the special ones are reserved.
struct Published {
    size_t tokens;
    SplitRule split;
    size_t all;  // with the special ones
    std::vector<std::pair<int, std::string>> specials;
    bool begins_texts = false;  // the first of them stands before every text
    bool nfc = false;           // text is normalised first
};

// The one of this size whose rule leaves the tokens whole, which `pattern`, if it is given, must name; nullptr: none.
const Published* find_published(const std::vector<std::string>& tokens, std::optional<SplitRule> pattern);
// Whether a published vocabulary of so many tokens has a special one at this id, so that no token has it.
bool is_published_gap(size_t tokens, size_t id);

// Whether merges under this rule could have made the tokens: it cuts next to none of them.
bool fits(const std::vector<std::string>& tokens, SplitRule rule);
