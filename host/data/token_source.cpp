#include "token_source.h"
#include <xxhash.h>
#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include "host/base/error.h"
#include "host/base/files.h"

namespace {

struct ShardFormat {
    uint32_t magic, version;
    uint64_t bytes_per_token;
    int separator, vocab;
};
constexpr ShardFormat formats[] = {{20240520, 1, 2, 50256, 50257},
                                   {20240801, 7, 4, 128000, 128256}};  // llm.c: GPT-2, Llama 3
constexpr uint64_t header_bytes = 1024;                                // llm.c's and llmq's
constexpr uint32_t weights_magic = 20240326;

[[noreturn]] void refuse(const std::string& path, const std::string& reason,
                         const std::string& hint = "shards are made by train_gpt tokenize, llm.c or llmq") {
    throw Error(Exit::input, path, reason, hint);
}

void require_size(const files::Reader& file, uint64_t tokens, uint64_t expected) {
    if (tokens == 0 || tokens > uint64_t(std::numeric_limits<int32_t>::max()))
        refuse(file.path(), "its header says " + std::to_string(int32_t(tokens)) + " tokens");
    if (file.size() != expected)
        refuse(file.path(), "has " + std::to_string(file.size()) + " bytes where its " + std::to_string(tokens) +
                                " tokens make " + std::to_string(expected));
}

Shard open_llmc(const files::Reader& file, const ShardFormat& format) {
    std::array<uint32_t, 3> head;
    file.read(head.data(), sizeof head, 0);
    if (head[1] != format.version)
        refuse(file.path(),
               "its version is " + std::to_string(head[1]) + ", expected " + std::to_string(format.version));
    require_size(file, head[2], header_bytes + head[2] * format.bytes_per_token);
    return {file.path(), "llm.c", header_bytes, head[2], format.bytes_per_token, format.separator, format.vocab, {}, 0};
}

// The size it gives is the tokenizer's without the special tokens, which follow: we leave room for some.
int vocab_with_specials(uint32_t base) { return base ? int((std::min(base, 1u << 24) + 128) / 128 * 128) : 0; }

Shard open_llmq(const files::Reader& file) {
    std::array<uint32_t, 7> head;
    file.read(head.data(), sizeof head, 0);
    const auto [magic, mark, version, bytes, tokens, vocab, masks] = head;
    if (version != 1 && version != 2)
        refuse(file.path(), "its version is " + std::to_string(version) + ", expected 1 or 2");
    if (bytes != 4) refuse(file.path(), "its tokens take " + std::to_string(bytes) + " bytes, expected 4");
    if (masks > 1) refuse(file.path(), "its header says " + std::to_string(masks) + " where 0 or 1 tells of masks");
    if (masks)
        refuse(file.path(), "holds a mask of the tokens to train on, which is not supported", "make it without masks");
    require_size(file, tokens, header_bytes + uint64_t(tokens) * bytes);
    return {file.path(), "llmq", header_bytes, tokens, bytes, -1, version == 2 ? vocab_with_specials(vocab) : 0, {}, 0};
}

Shard open_plain(const files::Reader& file, TokenType type) {
    const uint64_t bytes = type == TokenType::uint16 ? 2 : 4;
    if (file.size() == 0) refuse(file.path(), "is empty");
    if (file.size() % bytes)
        refuse(file.path(), "its " + std::to_string(file.size()) + " bytes are not a whole number of " + name_of(type),
               "name another --token-type");
    const bool gpt2 = type == TokenType::uint16;  // what nanoGPT's scripts make
    return {file.path(), name_of(type), 0, file.size() / bytes, bytes, gpt2 ? 50256 : -1, gpt2 ? 50257 : 0, {}, 0};
}

Shard open_any(const files::Reader& file, std::optional<TokenType> without_header) {
    const std::string& path = file.path();
    uint64_t mark = 0;
    if (file.size() >= sizeof mark) file.read(&mark, sizeof mark, 0);
    const uint32_t magic = uint32_t(mark);
    const auto is = [](uint32_t value) { return [=](const ShardFormat& f) { return f.magic == value; }; };
    const auto* format = std::find_if(std::begin(formats), std::end(formats), is(magic));
    const bool llmq = std::memcmp(&mark, "BIN.TOK\n", sizeof mark) == 0, known = llmq || format != std::end(formats);
    if (!known && without_header) return open_plain(file, *without_header);
    if (file.size() < header_bytes)
        refuse(path, std::to_string(file.size()) + " bytes are fewer than a shard's header of 1024");
    if (llmq) return open_llmq(file);
    if (known) return open_llmc(file, *format);
    if (magic == weights_magic) refuse(path, "holds a model's weights, not tokens", "it is for --model");
    if (std::any_of(std::begin(formats), std::end(formats), is(__builtin_bswap32(magic))))
        refuse(path, "its bytes are in the wrong (big-endian) order");
    refuse(path, "is not a token shard: its first number is " + std::to_string(magic) + ", not 20240520 or 20240801",
           "if it has no header, as nanoGPT's, name what it holds: --token-type uint16");
}

}  // namespace

Shard open_shard(const std::string& path, std::optional<TokenType> without_header) {
    const files::Reader file(path);
    Shard shard = open_any(file, without_header);
    shard.stamp = file.stamp();
    return shard;
}

std::array<uint32_t, 256> llmc_header(uint64_t bytes_per_token, uint64_t tokens) {
    const ShardFormat& format = formats[bytes_per_token == 4];
    return {format.magic, format.version, uint32_t(tokens)};
}

uint64_t hash_shard(const Shard& shard) {
    constexpr uint64_t blocks = 64, block = 4096;
    const files::Reader file(shard.path);
    const uint64_t header = shard.header, body = file.size() - header, size = file.size();
    std::vector<char> seen(header + (body <= blocks * block ? body : blocks * block));
    file.read(seen.data(), header, 0);
    if (body <= blocks * block) file.read(seen.data() + header, body, header);
    else
        for (uint64_t i = 0; i < blocks; i++)
            file.read(seen.data() + header + i * block, block, header + (body - block) * i / (blocks - 1));
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
    stamps->last.push_back(shard.stamp);
}

void TokenSource::require_same(const files::Reader& file, size_t index) const {
    const Shard& shard = shards[index];
    const std::lock_guard lock(stamps->mutex);
    if (file.stamp() == stamps->last[index]) return;
    if (!shard.hash || files::hash_file(shard.path) != shard.hash)
        refuse(shard.path, "was replaced or changed while it is being read", "put it back, and --resume the run");
    stamps->last[index] = file.stamp();
}

void TokenSource::read(std::span<int> out, uint64_t begin) const {
    REQUIRE(begin <= size() && out.size() <= size() - begin);
    if (shards.empty()) {
        if (vocab <= 1 << 16) std::copy_n(narrow.begin() + std::ptrdiff_t(begin), out.size(), out.begin());
        else std::copy_n(wide.begin() + std::ptrdiff_t(begin), out.size(), out.begin());
        return;
    }
    size_t shard = size_t(std::upper_bound(ends.begin(), ends.end(), begin) - ends.begin());
    while (!out.empty()) {  // a window may go on in the next shard
        const size_t n = size_t(std::min<uint64_t>(out.size(), ends[shard] - begin));
        read_shard(out.first(n), shard, begin - (ends[shard] - shards[shard].tokens));
        out = out.subspan(n), begin += n, shard++;
    }
}

void TokenSource::read_shard(std::span<int> out, size_t index, uint64_t begin) const {
    const Shard& shard = shards[index];
    const files::Reader file(shard.path);
    require_same(file, index);
    std::vector<char> raw(out.size() * shard.bytes_per_token);
    file.read(raw.data(), raw.size(), shard.header + begin * shard.bytes_per_token);
    for (size_t i = 0; i < out.size(); i++) {
        uint32_t id = 0;
        std::memcpy(&id, raw.data() + i * shard.bytes_per_token, shard.bytes_per_token);
        if (id >= uint32_t(vocab))
            throw Error(Exit::input, shard.path,
                        "token " + std::to_string(begin + i) + " is " + std::to_string(id) +
                            ", outside the vocabulary of " + std::to_string(vocab),
                        "the shard was made for another tokenizer or is damaged");
        out[i] = int(id);
    }
}

int TokenSource::at(uint64_t index) const {
    int token;
    read(std::span(&token, 1), index);
    return token;
}

uint64_t TokenSource::hash() const {
    return vocab <= 1 << 16 ? XXH64(narrow.data(), narrow.size() * sizeof narrow[0], 0)
                            : XXH64(wide.data(), wide.size() * sizeof wide[0], 0);
}
