#include "token_source.h"
#include <xxhash.h>
#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include "error.h"
#include "files.h"

namespace {

struct ShardFormat {
    uint32_t magic, version;
    uint64_t bytes_per_token;
    int separator, vocab;
};
constexpr ShardFormat formats[] = {{20240520, 1, 2, 50256, 50257}, {20240801, 7, 4, 128000, 128256}};     // GPT-2, Llama 3

constexpr const char* how_to_make_shards = "shards are made by llm.c's dev/data scripts";

[[noreturn]] void refuse(const std::string& path, const std::string& reason) { throw Error(Exit::input, path, reason, how_to_make_shards); }

}  // namespace

Shard open_shard(const std::string& path) {
    const files::Reader file(path);
    if (file.size() < Shard::header) refuse(path, std::to_string(file.size()) + " bytes are fewer than a shard's header of 1024");
    std::array<uint32_t, 3> head;
    file.read(head.data(), sizeof head, 0);
    const auto [magic, version, count] = head;
    const auto* format = std::find_if(std::begin(formats), std::end(formats), [&](const ShardFormat& f) { return f.magic == magic; });
    if (format == std::end(formats)) {
        const bool swapped = std::any_of(std::begin(formats), std::end(formats), [&](const ShardFormat& f) { return f.magic == __builtin_bswap32(magic); });
        refuse(path, swapped ? "its bytes are in the wrong (big-endian) order" : "is not a token shard: its first number is " +
               std::to_string(magic) + ", not 20240520 or 20240801");
    }
    if (version != format->version)
        refuse(path, "its version is " + std::to_string(version) + ", expected " + std::to_string(format->version));
    if (count == 0 || count > uint32_t(std::numeric_limits<int32_t>::max()))
        refuse(path, "its header says " + std::to_string(int32_t(count)) + " tokens");
    const uint64_t expected = Shard::header + count * format->bytes_per_token;
    if (file.size() != expected)
        refuse(path, "has " + std::to_string(file.size()) + " bytes where its " + std::to_string(count) + " tokens make " + std::to_string(expected));
    return {path, count, format->bytes_per_token};
}

int shard_separator(const Shard& shard) { return formats[shard.bytes_per_token == 4].separator; }
int shard_vocab(const Shard& shard) { return formats[shard.bytes_per_token == 4].vocab; }

uint64_t hash_shard(const Shard& shard) {
    constexpr uint64_t blocks = 64, block = 4096;
    const files::Reader file(shard.path);
    const uint64_t body = file.size() - Shard::header, size = file.size();
    std::vector<char> seen(Shard::header + (body <= blocks * block ? body : blocks * block));
    file.read(seen.data(), Shard::header, 0);
    if (body <= blocks * block) file.read(seen.data() + Shard::header, body, Shard::header);
    else for (uint64_t i = 0; i < blocks; i++)
        file.read(seen.data() + Shard::header + i * block, block, Shard::header + (body - block) * i / (blocks - 1));
    return XXH64(seen.data(), seen.size(), size);
}

uint64_t TokenSource::size() const { return shards.empty() ? narrow.size() + wide.size() : ends.back(); }

void TokenSource::add(std::span<const int> tokens) {
    if (vocab <= 1 << 16) narrow.insert(narrow.end(), tokens.begin(), tokens.end());
    else wide.insert(wide.end(), tokens.begin(), tokens.end());
}

void TokenSource::add(const Shard& shard) {
    ends.push_back((ends.empty() ? 0 : ends.back()) + shard.tokens);
    shards.push_back(shard);
}

void TokenSource::read(std::span<int> out, uint64_t begin) const {
    REQUIRE(begin <= size() && out.size() <= size() - begin);
    if (shards.empty()) {
        if (vocab <= 1 << 16) std::copy_n(narrow.begin() + std::ptrdiff_t(begin), out.size(), out.begin());
        else std::copy_n(wide.begin() + std::ptrdiff_t(begin), out.size(), out.begin());
        return;
    }
    size_t shard = size_t(std::upper_bound(ends.begin(), ends.end(), begin) - ends.begin());
    while (!out.empty()) {                                     // a window may go on in the next shard
        const size_t n = size_t(std::min<uint64_t>(out.size(), ends[shard] - begin));
        read_shard(out.first(n), shard, begin - (ends[shard] - shards[shard].tokens));
        out = out.subspan(n), begin += n, shard++;
    }
}

void TokenSource::read_shard(std::span<int> out, size_t index, uint64_t begin) const {
    const Shard& shard = shards[index];
    const files::Reader file(shard.path);
    std::vector<char> raw(out.size() * shard.bytes_per_token);
    file.read(raw.data(), raw.size(), Shard::header + begin * shard.bytes_per_token);
    for (size_t i = 0; i < out.size(); i++) {
        uint32_t id = 0;
        std::memcpy(&id, raw.data() + i * shard.bytes_per_token, shard.bytes_per_token);
        if (id >= uint32_t(vocab))
            throw Error(Exit::input, shard.path, "token " + std::to_string(begin + i) + " is " + std::to_string(id) +
                        ", outside the vocabulary of " + std::to_string(vocab), "the shard was made for another tokenizer or is damaged");
        out[i] = int(id);
    }
}

int TokenSource::at(uint64_t index) const {
    int token;
    read(std::span(&token, 1), index);
    return token;
}

uint64_t TokenSource::hash() const {
    return vocab <= 1 << 16 ? XXH64(narrow.data(), narrow.size() * sizeof narrow[0], 0) : XXH64(wide.data(), wide.size() * sizeof wide[0], 0);
}
