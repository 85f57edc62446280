// What `train_gpt eval` scores: documents of texts, JSON lines or token shards, read a part at a time.
#pragma once
#include <functional>
#include "host/data/documents.h"
#include "host/options/options.h"
#include "host/tokenizer/tokenizer.h"
#include "sliding_windows.h"

struct EvalText {
    std::vector<std::string> paths;  // all text, or all shards
    TextReading reading;
    std::optional<TokenType> token_type;
    const Tokenizer* tokenizer = nullptr;  // null: there is none; enough for shards
    int vocab = 0;                         // of the model
    int separator = -1;                    // the token before every document of text; -1: none
    enum class Documents { separated, stream } documents = Documents::separated;  // stream: a shard is one document
    int context = 0, stride = 0;
};

struct TextFacts {
    uint64_t documents = 0, unknown = 0, repaired = 0;
    std::optional<uint64_t> bytes;  // of the text of the tokens scored, where it is known
    SkippedLines skipped = {};
};

// The files that --data names. Throws Error{usage, input} for what read_documents could not begin with.
std::vector<std::string> eval_paths(const std::vector<std::string>& data, bool has_tokenizer);

// Segments as they come, and which part of all was read (0 to 1). False: stop.
using TakeSegments = std::function<bool(const std::vector<Segment>&, double)>;

// Throws Error for files that cannot be read or were made for another tokenizer.
TextFacts read_documents(const EvalText& what, const TakeSegments& take);
