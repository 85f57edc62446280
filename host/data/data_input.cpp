#include "data_input.h"
#include <xxhash.h>
#include <algorithm>
#include <mutex>
#include <utility>
#include "corpus.h"
#include "data_paths.h"
#include "host/base/error.h"
#include "host/base/files.h"
#include "host/base/messages.h"
#include "host/base/utf8.h"

namespace {

constexpr uint64_t longest_text = uint64_t(1) << 36;

constexpr size_t batch_bytes = 16 << 20;  // of a file at a time

size_t end_of_character(std::string_view text, size_t near) {
    while (near < text.size() && (uint8_t(text[near]) & 0xC0) == 0x80) near++;
    return near;
}

// What reading had to do to the texts.
struct Mended {
    size_t repaired = 0;
    SkippedLines skipped;
};

// Appends a file's text. Returns whether it was JSON lines.
bool add_text(DataInput& input, const std::string& path, const TextReading& reading, Mended& mended) {
    if (files::Reader(path).size() > longest_text) throw Error(Exit::input, path, "is longer than 64 GiB");
    DocumentReader reader({path}, reading, end_of_character);
    bool json = false, open = false;
    const size_t first = input.text.size();
    const auto close = [&] {
        if (!std::exchange(open, false)) return;
        input.documents.back().end = input.text.size();
        if (json) input.text += '\n';
    };
    for (std::vector<TextPart> parts; !(parts = reader.read(batch_bytes)).empty();) {
        for (const TextPart& part : parts) {
            if (part.begins) {
                close();
                input.documents.push_back({input.text.size(), 0});
                json = part.json, open = true;
            }
            input.text += part.text;
        }
    }
    close();
    mended.repaired += reader.repaired();
    mended.skipped.add(reader.skipped());
    const std::string_view text = std::string_view(input.text).substr(first);
    if (text.empty()) throw Error(Exit::input, path, "is empty");
    input.files.push_back({path, text.size(), XXH64(text.data(), text.size(), 0)});
    return json;
}

DataInput read_builtin(const std::string& name) {
    Corpus corpus = builtin_corpus(name);
    const DataFile file{name, corpus.text.size(), XXH64(corpus.text.data(), corpus.text.size(), 0)};
    DataInput input;
    input.content = Content::builtin, input.name = name;
    input.text = std::move(corpus.text), input.log_p = std::move(corpus.log_p);
    input.files = {file};
    return input;
}

void add_shard(DataInput& input, const std::string& path, std::optional<TokenType> type) {
    Shard shard = open_shard(path, type);
    const std::optional<Sidecar> sidecar = read_sidecar(path, shard.tokens);
    if (sidecar) shard.vocab = sidecar->vocab, shard.separator = sidecar->separator;
    if (input.shards.empty()) input.sidecar = sidecar;
    const auto maker = [](const std::optional<Sidecar>& s) { return s ? s->tokenizer_hash : ""; };
    const bool alike = input.shards.empty() || (input.shards[0].bytes_per_token == shard.bytes_per_token &&
                                                input.shards[0].vocab == shard.vocab);
    if (!alike || maker(sidecar) != maker(input.sidecar))
        throw Error(Exit::input, path, "is a shard of another kind than " + input.shards[0].path,
                    "give shards of one tokenizer");
    input.files.push_back({path, shard.header + shard.tokens * shard.bytes_per_token, hash_shard(shard)});
    input.checksums.push_back(sidecar ? sidecar->xxh64 : "");
    input.shards.push_back(shard);
}

// Reads all of every shard: what was changed since must not be taken for what it was.
void hash_shards(DataInput& input, const DataProgress& progress) {
    std::mutex mutex;
    uint64_t done = 0, total = 0;
    for (const DataFile& file : input.files) total += file.bytes;
    for_each_part(input.shards, [&](Shard& shard, size_t i) {
        DataFile& file = input.files[i];
        shard.hash = file.whole = files::hash_file(shard.path);
        require_listed(shard.path, input.checksums[i], file.whole);
        const std::lock_guard lock(mutex);
        if (progress) progress("checking shards", done += file.bytes, total);
    });
}

}  // namespace

DataInput read_data_input(const std::string& flag, const std::vector<std::string>& patterns,
                          std::optional<TokenType> type, const TextReading& reading, const DataProgress& progress,
                          std::vector<std::string>& warnings) {
    for (const std::string& pattern : patterns) {
        if (is_builtin(pattern) && patterns.size() == 1) return read_builtin(pattern);
        if (is_builtin(pattern))
            throw Error(Exit::usage, flag + " " + printable(pattern), "a built-in corpus stands alone");
    }
    const std::vector<std::string> paths = expand_paths(flag, patterns, warnings);
    const auto shards = std::count_if(paths.begin(), paths.end(), is_shard);
    if (shards && size_t(shards) < paths.size()) throw Error(Exit::usage, flag, "text and .bin shards cannot be mixed");
    DataInput input;
    input.content = shards ? Content::shards : Content::text;
    input.name = paths.at(0);
    if (paths.size() > 1) input.name += " and " + std::to_string(paths.size() - 1) + " more";
    Mended mended;
    size_t done = 0;
    bool json = false;
    for (const std::string& path : paths) {
        if (progress) progress("reading " + path, done++, paths.size());
        if (shards) {
            add_shard(input, path, type);
            continue;
        }
        json |= add_text(input, path, reading, mended);
    }
    if (!json) input.documents.clear();
    if (shards) hash_shards(input, progress);
    if (mended.repaired) warnings.push_back(input.name + ": " + repairs_text(mended.repaired));
    if (mended.skipped.count) warnings.push_back(flag + ": " + mended.skipped.text());
    return input;
}
