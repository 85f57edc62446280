#include "data_input.h"
#include <xxhash.h>
#include <algorithm>
#include "corpus.h"
#include "data_paths.h"
#include "host/base/error.h"
#include "host/base/files.h"
#include "host/base/messages.h"
#include "host/base/utf8.h"

namespace {

constexpr uint64_t longest_text = uint64_t(1) << 36;

std::string read_text(const std::string& path, size_t& repaired) {
    std::string text = files::read_file(path, longest_text);
    drop_byte_order_mark(text, path);
    repaired += repair_utf8(text);
    if (text.empty()) throw Error(Exit::input, path, "is empty");
    return text;
}

DataInput read_builtin(const std::string& name) {
    Corpus corpus = builtin_corpus(name);
    const DataFile file{name, corpus.text.size(), XXH64(corpus.text.data(), corpus.text.size(), 0)};
    return {Content::builtin, name, std::move(corpus.text), {}, {}, std::move(corpus.log_p), {file}};
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
    input.shards.push_back(shard);
}

}  // namespace

DataInput read_data_input(const std::string& flag, const std::vector<std::string>& patterns,
                          std::optional<TokenType> type, const DataProgress& progress,
                          std::vector<std::string>& warnings) {
    std::vector<std::string> paths;
    for (const std::string& pattern : patterns) {
        if (is_builtin(pattern) && patterns.size() == 1) return read_builtin(pattern);
        if (is_builtin(pattern))
            throw Error(Exit::usage, flag + " " + printable(pattern), "a built-in corpus stands alone");
        for (std::string& path : expand_path(flag, pattern)) paths.push_back(std::move(path));
    }
    const auto shards = std::count_if(paths.begin(), paths.end(), is_shard);
    if (shards && size_t(shards) < paths.size()) throw Error(Exit::usage, flag, "text and .bin shards cannot be mixed");
    DataInput input{shards ? Content::shards : Content::text, paths.at(0), "", {}, {}, {}, {}};
    if (paths.size() > 1) input.name += " and " + std::to_string(paths.size() - 1) + " more";
    size_t repaired = 0, done = 0;
    for (const std::string& path : paths) {
        if (progress) progress("reading " + path, done++, paths.size());
        if (shards) {
            add_shard(input, path, type);
            continue;
        }
        const std::string text = read_text(path, repaired);
        input.files.push_back({path, text.size(), XXH64(text.data(), text.size(), 0)});
        input.text += text;
    }
    if (repaired) warnings.push_back(input.name + ": " + repairs_text(repaired));
    return input;
}
