// What --data or --val names: text in full, of shards only the headers.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>
#include "documents.h"
#include "shard_writer.h"
#include "token_source.h"

struct DataFile {
    std::string path;
    uint64_t bytes = 0;
    uint64_t hash = 0;   // of a text: all of it; of a shard: header, size and 64 blocks of 4 KiB spread evenly
    uint64_t whole = 0;  // of a shard: all of it
};

using DataProgress = std::function<void(const std::string& what, uint64_t done, uint64_t total)>;  // bytes

// Where a document stands in the text. Behind one of JSON lines is a line feed that is not its own, for tokenizers
// without a token that separates documents.
struct DocumentPlace {
    uint64_t begin, end;
};

enum class Content { text, shards, builtin };

struct DataInput {
    Content content = Content::text;
    std::string name;  // for messages
    std::string text;
    std::vector<DocumentPlace> documents;  // of JSON lines, and of texts beside them; else the text is one
    std::vector<Shard> shards;
    std::vector<std::string> checksums;  // of the shards, by what lies beside them; "": none is known
    std::optional<Sidecar> sidecar;      // of the first shard, if we wrote it
    std::vector<double> log_p;           // of a built-in corpus's lines
    std::vector<DataFile> files;
};

// Files, globs, or one builtin:NAME. `type` is that of .bin files without a header. Adds a line to `warnings` for
// text that had to be repaired or skipped and for files that are named twice. Throws Error naming flag or file.
DataInput read_data_input(const std::string& flag, const std::vector<std::string>& patterns,
                          std::optional<TokenType> type, const TextReading& reading, const DataProgress& progress,
                          std::vector<std::string>& warnings);
