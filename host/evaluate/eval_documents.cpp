#include "eval_documents.h"
#include <algorithm>
#include "host/base/files.h"
#include "host/base/messages.h"
#include "host/base/utf8.h"
#include "host/data/data_paths.h"
#include "host/data/shard_writer.h"
#include "host/data/token_source.h"
#include "host/tokenizer/bpe.h"
#include "host/tokenizer/load_tokenizer.h"

namespace {

constexpr size_t batch_bytes = 4 << 20;  // of text in memory at a time
constexpr uint64_t block = 1 << 20;      // of a shard's tokens
constexpr size_t slice = 4096;           // tokens whose windows are pending: at a small stride every token has one

// Hands on the windows that these tokens complete; reading them takes progress from `from` to `to`.
bool add(Windows& windows, std::span<const int> tokens, const TakeSegments& take, double from, double to) {
    for (size_t at = 0; at < tokens.size(); at += slice) {
        windows.add(tokens.subspan(at, std::min(slice, tokens.size() - at)));
        const double part = double(std::min(at + slice, tokens.size())) / double(tokens.size());
        if (!take(std::exchange(windows.ready, {}), from + part * (to - from))) return false;
    }
    return true;
}

// How many bytes at the start of the text its first token stands for.
size_t first_length(const Tokenizer& tokenizer, std::string_view text, int token) {
    switch (tokenizer.kind) {
        case TokenizerKind::byte: return 1;
        case TokenizerKind::character: return size_t(std::max(decode_utf8(text).length, 1));
        case TokenizerKind::word: return word_length(text);
        case TokenizerKind::bpe: break;
    }
    return std::min(tokenizer.tokens[size_t(token)].size() - size_t(tokenizer.adds_space(text)), text.size());
}

TextFacts read_text(const EvalText& what, const TakeSegments& take) {
    const Tokenizer& tokenizer = *what.tokenizer;
    DocumentReader reader(what.paths, what.reading,
                          [&](std::string_view text, size_t near) { return tokenizer.safe_cut(text, near); });
    Windows windows(what.context, what.stride, what.separator);
    TextFacts facts;
    facts.bytes = 0;
    bool empty = true;  // nothing of this document came yet
    double from = 0;
    for (std::vector<TextPart> parts; !(parts = reader.read(batch_bytes)).empty();) {
        std::vector<std::vector<int>> ids(parts.size());
        for_each_part(parts, [&](const TextPart& part, size_t i) {
            ids[i] = tokenizer.encode(part.text, Specials::as_text, part.begins ? Place::beginning : Place::middle);
        });
        const double to = double(reader.done()) / double(std::max<uint64_t>(reader.total(), reader.done()));
        const double each = (to - from) / double(parts.size());
        for (size_t i = 0; i < parts.size(); i++, from += each) {
            if (parts[i].begins) windows.end(), windows.begin(), empty = true;
            if (ids[i].empty()) continue;
            *facts.bytes += parts[i].text.size();
            if (empty) {
                facts.documents++;
                if (what.separator < 0) *facts.bytes -= first_length(tokenizer, parts[i].text, ids[i][0]);
            }
            empty = false;
            if (tokenizer.unknown >= 0)
                facts.unknown += uint64_t(std::count(ids[i].begin(), ids[i].end(), tokenizer.unknown));
            if (!add(windows, ids[i], take, from, from + each)) return facts;
        }
        from = to;
    }
    windows.end();
    take(windows.ready, 1);
    facts.repaired = reader.repaired();
    facts.skipped = reader.skipped();
    return facts;
}

// Bytes of text that every token stands for; special tokens are not text.
std::vector<int> bytes_of_tokens(const Tokenizer& tokenizer, int vocab) {
    std::vector<int> bytes(size_t(std::max(vocab, tokenizer.vocab_size())));
    for (size_t i = 0; i < tokenizer.tokens.size(); i++) bytes[i] = int(tokenizer.tokens[i].size());
    if (tokenizer.bpe)
        for (const AddedToken& token : tokenizer.bpe->added)
            if (token.special) bytes[size_t(token.id)] = 0;
    return bytes;
}

// The space before a document that encoding has put there.
uint64_t dropped_bytes(const Tokenizer& tokenizer, int first) {
    return first < tokenizer.vocab_size() && tokenizer.leading_spaces() &&
           tokenizer.tokens[size_t(first)].starts_with(' ');
}

struct Shards {
    TokenSource source;
    int separator = -1;
    std::optional<Tokenizer> own;  // beside the shards
};

Shards open_shards(const EvalText& what) {
    Shards shards{TokenSource(what.vocab), what.separator, {}};
    std::optional<std::string> first;
    for (const std::string& path : what.paths) {
        const Shard shard = open_shard(path, what.token_type);
        const std::optional<Sidecar> sidecar = read_sidecar(path, shard.tokens);
        const std::string maker = sidecar ? sidecar->tokenizer_hash : "";
        if (first.value_or(maker) != maker)
            throw Error(Exit::input, path, "was made with another tokenizer than " + what.paths[0],
                        "give shards of one tokenizer");
        first = maker;
        if (sidecar && what.tokenizer && !sidecar->tokenizer_hash.empty() &&
            sidecar->tokenizer_hash != files::hex(what.tokenizer->hash()))
            throw Error(Exit::input, path, "was made with another tokenizer than the model's", "score the text itself");
        if (sidecar && !what.tokenizer && !shards.own && !sidecar->tokenizer_path.empty())
            shards.own = load_tokenizer(sidecar->tokenizer_path);
        if (sidecar && !sidecar->xxh64.empty()) require_listed(path, sidecar->xxh64, files::hash_file(path));
        const int separator = sidecar ? sidecar->separator : shard.separator;
        if (separator >= 0 && separator < what.vocab) shards.separator = separator;
        shards.source.add(shard);
    }
    if (what.documents == EvalText::Documents::stream) shards.separator = -1;
    return shards;
}

TextFacts read_shards(const EvalText& what, const TakeSegments& take) {
    const Shards shards = open_shards(what);
    const Tokenizer* tokenizer = what.tokenizer ? what.tokenizer : shards.own ? &*shards.own : nullptr;
    const std::vector<int> bytes_of =
        tokenizer ? bytes_of_tokens(*tokenizer, what.vocab) : std::vector<int>(size_t(what.vocab));
    Windows windows(what.context, what.stride, shards.separator);
    TextFacts facts;
    uint64_t bytes = 0, length = 0;  // length: of the document so far, in tokens
    std::vector<int> tokens;
    windows.begin();
    for (uint64_t at = 0, size = shards.source.size(); at < size; at += tokens.size()) {
        tokens.resize(size_t(std::min(block, size - at)));
        shards.source.read(tokens, at);
        for (auto begin = tokens.begin(); begin != tokens.end();) {
            const auto end = shards.separator < 0 ? tokens.end() : std::find(begin, tokens.end(), shards.separator);
            const auto read = [&](auto token) { return double(at + uint64_t(token - tokens.begin())) / double(size); };
            if (!add(windows, {begin, end}, take, read(begin), read(end))) return facts;
            for (auto token = begin; token != end; token++, length++) {
                facts.documents += length == 0;
                if (length || shards.separator >= 0) bytes += uint64_t(bytes_of[size_t(*token)]);
                if (!length && shards.separator >= 0 && tokenizer && bytes_of[size_t(*token)])
                    bytes -= dropped_bytes(*tokenizer, *token);
                facts.unknown += tokenizer && *token == tokenizer->unknown;
            }
            if (end == tokens.end()) break;
            windows.end(), windows.begin(), length = 0;
            begin = end + 1;
        }
    }
    windows.end();
    take(windows.ready, 1);
    if (tokenizer) facts.bytes = bytes;
    return facts;
}

}  // namespace

std::vector<std::string> eval_paths(const std::vector<std::string>& data, bool has_tokenizer) {
    std::vector<std::string> paths = expand_paths("--data", data);
    const auto shards = std::ranges::count_if(paths, is_shard);
    if (shards && size_t(shards) < paths.size())
        throw Error(Exit::usage, "--data", "text and .bin shards cannot be mixed", "score one after the other");
    if (!shards && !has_tokenizer)
        throw Error(Exit::usage, "--data " + printable(paths.at(0)), "is text, but the model has no tokenizer",
                    "give --tokenizer FILE");
    for (const std::string& path : paths)
        if (path != "-") files::Reader{path};
    return paths;
}

TextFacts read_documents(const EvalText& what, const TakeSegments& take) {
    return is_shard(what.paths.at(0)) ? read_shards(what, take) : read_text(what, take);
}
