// An input's tokens, and what separates its documents.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>
#include "data_input.h"
#include "host/tokenizer/tokenizer.h"
#include "token_source.h"

struct DataTokens {
    std::shared_ptr<const TokenSource> source;
    int separator = -1;
    std::vector<uint64_t> separators;  // where they are, if windows are to begin with documents
    size_t unknown = 0;
};

// Text is encoded, shards are taken as they are. A built-in corpus begins with a line feed, so that every line has one
// before it: the token its first character is predicted from.
// `end_of_text` separates documents where shards do not say what does.
DataTokens tokenise(const DataInput& input, const std::optional<Tokenizer>& tokenizer, int vocab, int end_of_text,
                    const DataProgress& progress);
