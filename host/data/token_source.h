// A sequence of tokens: in memory, as narrow as their ids allow, or in shards of which only what is asked for is read.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>
#include "host/base/files.h"
#include "host/base/names.h"

enum class TokenType { uint16, uint32 };  // of files without a header
template <>
inline constexpr auto names_of<TokenType> = std::to_array({"uint16", "uint32"});

// A file of tokens, of which the header says how they lie there: llm.c's (256 32-bit integers: magic, version, number
// of tokens, zeros) or llmq's ("BIN.TOK\n" and numbers in 1024 bytes). nanoGPT's has none: somebody must name its type.
struct Shard {
    std::string path;
    const char* format = "";  // whose
    uint64_t header = 0, tokens = 0, bytes_per_token = 2;
    int separator = -1;  // between documents; -1: the format does not say
    int vocab = 0;       // of the tokenizer such files are made with; 0: unknown
    files::Stamp stamp;  // of the file when it was opened
    uint64_t hash = 0;   // of all of it; 0: not known
};

// Reads the header and compares it with the file's size. Throws Error{input} for anything but a whole shard.
Shard open_shard(const std::string& path, std::optional<TokenType> without_header = {});
// What llm.c's shards begin with: 256 numbers, zeros but for the first three.
std::array<uint32_t, 256> llmc_header(uint64_t bytes_per_token, uint64_t tokens);
// XXH64 of header, size and 64 blocks of 4 KiB spread evenly.
uint64_t hash_shard(const Shard& shard);

struct TokenSource {
    std::vector<uint16_t> narrow;  // one of the first three holds the tokens
    std::vector<uint32_t> wide;
    std::vector<Shard> shards;
    std::vector<uint64_t> ends;  // of the shards, in the whole sequence
    int vocab = 0;               // every id a shard yields is checked against this

    explicit TokenSource(int vocab) : vocab(vocab) {}
    uint64_t size() const;
    void add(std::span<const int> tokens);
    void add(const Shard& shard);
    // Tokens begin, begin + 1, ... Several threads may read; no file stays open, so there may be any number of shards.
    // Throws Error{input} naming shard and place of an id outside the vocabulary, and if a shard cannot be read any
    // more or is not the file that was opened.
    void read(std::span<int> out, uint64_t begin) const;
    int at(uint64_t index) const;
    uint64_t hash() const;  // XXH64 of the tokens in memory

private:
    // A file that was only touched, or copied back, has another stamp and may be read on.
    struct Stamps {
        std::mutex mutex;
        std::vector<files::Stamp> last;  // of the shards
    };
    std::shared_ptr<Stamps> stamps = std::make_shared<Stamps>();
    void require_same(const files::Reader& file, size_t shard) const;
    void read_shard(std::span<int> out, size_t shard, uint64_t begin) const;
};
