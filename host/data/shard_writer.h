// Token shards as llm.c writes them, in a directory that appears whole or not at all:
//
//   tokens_000000.bin, ...   1024 bytes of header, then the tokens, two bytes each or, beyond 65,536 of them, four
//   dataset.json             what they are: vocabulary, separator, the tokenizer's hash, each shard's size and checksum
//   tokenizer.json           what they were made with
#pragma once
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>
#include "host/base/files.h"
#include "host/base/json.h"
#include "host/tokenizer/tokenizer.h"

class ShardWriter {
public:
    static constexpr const char* sidecar = "dataset.json";

    static bool is_ours(const std::string& name);  // a shard's or the sidecar's, as written here

    // `directory` has no slash at its end. Separator -1: documents follow each other without one.
    ShardWriter(const std::string& directory, files::IsOurs replaces, const Tokenizer& tokenizer, int separator,
                uint64_t tokens_per_shard);
    void begin_document();
    void add(std::span<const int> tokens);
    // Writes the sidecar, of which `facts` become part, and lets the directory appear. Returns its path.
    std::string commit(const Json& facts);

    uint64_t tokens() const { return total + pending.size() / bytes; }
    uint64_t documents() const { return documents_; }

private:
    void put(int token);
    void flush();  // what is pending, to the shard
    void close_shard();

    const Tokenizer& tokenizer;
    const int separator;
    const uint64_t tokens_per_shard, bytes;
    files::AtomicDirectory directory;
    std::unique_ptr<files::Writer> shard;
    uint64_t in_shard = 0, total = 0, documents_ = 0;  // tokens written
    std::vector<char> pending;
    Json shards = Json::array();
};

// What the sidecar beside a shard says of it. Throws Error{input} if it contradicts the shard or itself.
struct Sidecar {
    int vocab = 0, separator = -1;
    std::string tokenizer_hash, tokenizer_path;
    std::string xxh64;  // of the shard; "": it does not say
};
std::optional<Sidecar> read_sidecar(const std::string& shard_path, uint64_t tokens);
// Throws Error{input} if a shard whose bytes have this XXH64 is not the one that its sidecar lists.
void require_listed(const std::string& shard_path, const std::string& listed_xxh64, uint64_t hash);
