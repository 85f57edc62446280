// What --data or --val names: text in full, of shards only the headers.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>
#include "shard_writer.h"
#include "token_source.h"

struct DataFile {
    std::string path;
    uint64_t bytes = 0;
    uint64_t hash = 0;  // of a text: all of it; of a shard: header, size and 64 blocks of 4 KiB spread evenly
};

using DataProgress = std::function<void(const std::string& what, uint64_t done, uint64_t total)>;  // bytes

enum class Content { text, shards, builtin };

struct DataInput {
    Content content = Content::text;
    std::string name;  // for messages
    std::string text;
    std::vector<Shard> shards;
    std::optional<Sidecar> sidecar;  // of the first shard, if we wrote it
    std::vector<double> log_p;       // of a built-in corpus's lines
    std::vector<DataFile> files;
};

// Files, globs, or one builtin:NAME. `type` is that of .bin files without a header. Adds a line to `warnings` for text that
// had to be repaired. Throws Error naming flag or file.
DataInput read_data_input(const std::string& flag, const std::vector<std::string>& patterns,
                          std::optional<TokenType> type, const DataProgress& progress,
                          std::vector<std::string>& warnings);
