// From paths to Data: which files, what is in them, and where training ends and validation begins.
#include <glob.h>
#include <omp.h>
#include <xxhash.h>
#include <algorithm>
#include "corpus.h"
#include "dataset.h"
#include "host/base/error.h"
#include "host/base/files.h"
#include "host/base/utf8.h"
#include "host/tokenizer/load_tokenizer.h"
#include "shard_writer.h"
#include "token_source.h"

namespace {

constexpr uint64_t longest_text = uint64_t(1) << 36;
constexpr size_t chunk = 1 << 20;  // bytes of text a thread tokenises at a time

enum class Content { text, shards, builtin };

// What --data or --val names: text in full, of shards only the headers.
struct Input {
    Content content = Content::text;
    std::string name;  // for messages
    std::string text;
    std::vector<Shard> shards;
    std::optional<Sidecar> sidecar;  // of the first shard, if we wrote it
    std::vector<double> log_p;       // of a built-in corpus's lines
    std::vector<DataFile> files;
};

bool is_shard(const std::string& path) { return path.ends_with(".bin"); }

// The files a path stands for: itself if it exists, else, taken as a pattern, those it matches, sorted.
std::vector<std::string> expand(const std::string& flag, const std::string& path) {
    if (path.empty()) throw Error(Exit::usage, flag, "an empty path");
    if (path.find_first_of("*?[") == path.npos || files::exists(path)) return {path};
    glob_t found;
    std::vector<std::string> paths;
    const int result = glob(path.c_str(), 0, nullptr, &found);
    for (size_t i = 0; result == 0 && i < found.gl_pathc; i++) paths.emplace_back(found.gl_pathv[i]);
    globfree(&found);
    if (paths.empty()) throw Error(Exit::input, flag + " " + path, "no file matches");
    std::sort(paths.begin(), paths.end());  // by bytes: glob's own order depends on the locale
    return paths;
}

std::string read_text(const std::string& path, size_t& repaired) {
    std::string text = files::read_file(path, longest_text);
    if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF"))
        throw Error(Exit::input, path, "is UTF-16, not UTF-8", "convert it with: iconv -f UTF-16 -t UTF-8");
    if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);  // a byte order mark is not text
    repaired += repair_utf8(text);
    if (text.empty()) throw Error(Exit::input, path, "is empty");
    return text;
}

Input read_builtin(const std::string& name) {
    Corpus corpus = builtin_corpus(name);
    const DataFile file{name, corpus.text.size(), XXH64(corpus.text.data(), corpus.text.size(), 0)};
    return {Content::builtin, name, std::move(corpus.text), {}, {}, std::move(corpus.log_p), {file}};
}

void add_shard(Input& input, const std::string& path, std::optional<TokenType> type) {
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

Input read_input(const std::string& flag, const std::vector<std::string>& patterns, const DataOptions& options,
                 const DataProgress& progress, std::vector<std::string>& warnings) {
    std::vector<std::string> paths;
    for (const std::string& pattern : patterns) {
        if (is_builtin(pattern) && patterns.size() == 1) return read_builtin(pattern);
        if (is_builtin(pattern)) throw Error(Exit::usage, flag + " " + pattern, "a built-in corpus stands alone");
        for (std::string& path : expand(flag, pattern)) paths.push_back(std::move(path));
    }
    const auto shards = std::count_if(paths.begin(), paths.end(), is_shard);
    if (shards && size_t(shards) < paths.size()) throw Error(Exit::usage, flag, "text and .bin shards cannot be mixed");
    Input input{shards ? Content::shards : Content::text, paths.at(0), "", {}, {}, {}, {}};
    if (paths.size() > 1) input.name += " and " + std::to_string(paths.size() - 1) + " more";
    size_t repaired = 0, done = 0;
    for (const std::string& path : paths) {
        if (progress) progress("reading " + path, done++, paths.size());
        if (shards) {
            add_shard(input, path, options.token_type);
            continue;
        }
        const std::string text = read_text(path, repaired);
        input.files.push_back({path, text.size(), XXH64(text.data(), text.size(), 0)});
        input.text += text;
    }
    if (repaired)
        warnings.push_back(input.name + ": " + std::to_string(repaired) +
                           " pieces are not UTF-8 and were replaced by U+FFFD");
    return input;
}

// Encodes in parallel, chunk by chunk, and appends in order. Returns how many tokens are the unknown one.
size_t add_text(TokenSource& source, const Tokenizer& tokenizer, std::string_view text, const DataProgress& progress) {
    const uint64_t total = text.size();
    size_t unknown = 0;
    std::vector<std::vector<int>> parts(size_t(4 * omp_get_max_threads()));
    while (!text.empty()) {
        std::vector<std::string_view> pieces;
        while (!text.empty() && pieces.size() < parts.size()) {
            const size_t cut = tokenizer.safe_cut(text, std::min(chunk, text.size()));
            pieces.push_back(text.substr(0, cut));
            text.remove_prefix(cut);
        }
#pragma omp parallel for schedule(dynamic)
        for (size_t i = 0; i < pieces.size(); i++) parts[i] = tokenizer.encode(pieces[i]);
        for (size_t i = 0; i < pieces.size(); i++) {
            source.add(parts[i]);
            if (tokenizer.unknown >= 0)
                unknown += size_t(std::count(parts[i].begin(), parts[i].end(), tokenizer.unknown));
        }
        if (progress) progress("tokenising", total - text.size(), total);
    }
    return unknown;
}

// An input's tokens, and what separates its documents.
struct Tokens {
    std::shared_ptr<const TokenSource> source;
    int separator = -1;
    std::vector<uint64_t> separators;  // where they are, if windows are to begin with documents
    size_t unknown = 0;
};

// A built-in corpus begins with a line feed, so that every line has one before it: the token its first character is predicted from.
Tokens tokenise(const Input& input, const std::optional<Tokenizer>& tokenizer, int vocab, int end_of_text,
                const DataProgress& progress) {
    Tokens tokens;
    auto source = std::make_shared<TokenSource>(vocab);
    tokens.source = source;
    if (input.content == Content::shards) {
        for (const Shard& shard : input.shards) source->add(shard);
        const int separator = input.shards[0].separator < 0 ? end_of_text : input.shards[0].separator;
        tokens.separator = separator < vocab ? separator : -1;
        return tokens;
    }
    if (!tokenizer)
        throw Error(Exit::usage, input.name, "is text, but nobody said how to make it the tokens of the shards",
                    "give --tokenizer FILE");
    if (tokenizer->vocab_size() > vocab)
        throw Error(Exit::input, input.name,
                    "its tokenizer has " + std::to_string(tokenizer->vocab_size()) +
                        " tokens, the model's vocabulary " + std::to_string(vocab),
                    "use the tokenizer the model was trained with");
    if (input.content == Content::builtin) {
        const std::vector<int> line_feed = tokenizer->encode("\n");
        if (tokenizer->decode(line_feed) != "\n" || line_feed.size() != 1)
            throw Error(Exit::usage, "--data " + input.name, "the tokenizer has no line feed",
                        "choose --tokenizer char");
        source->add(line_feed);
        tokens.separator = line_feed[0];
    }
    tokens.unknown = add_text(*source, *tokenizer, input.text, progress);
    if (tokens.separator >= 0)
        for (uint64_t i = 0; i < source->size(); i++)
            if (source->at(i) == tokens.separator) tokens.separators.push_back(i);
    return tokens;
}

// Greedily: a window starts at the last separator that the one before it reaches; within a document longer than T, where that ends.
std::vector<uint64_t> document_windows(const std::vector<uint64_t>& separators, uint64_t begin, uint64_t end, int T) {
    std::vector<uint64_t> starts{begin};
    while (starts.back() < end - 1) {
        const uint64_t reach = std::min(starts.back() + uint64_t(T), end - 1);
        const uint64_t document = *std::prev(std::upper_bound(separators.begin(), separators.end(), reach));
        starts.push_back(reach == end - 1 || document <= starts.back() ? reach : document);
    }
    return starts;
}

Dataset dataset(const Tokens& tokens, uint64_t begin, uint64_t end, Purpose purpose, const DataOptions& options) {
    Dataset data{tokens.source, begin, end, options.T, options.seed, purpose, options.mask, tokens.separator, {}};
    if (!tokens.separators.empty()) data.starts = document_windows(tokens.separators, begin, end, options.T);
    return data;
}

// Where training ends: 1 - fraction of the tokens, or the end of the document there.
uint64_t end_of_training(const Tokens& tokens, double fraction) {
    const uint64_t end = uint64_t(double(tokens.source->size()) * (1 - fraction));
    const auto separator = std::lower_bound(tokens.separators.begin(), tokens.separators.end(), end);
    return separator == tokens.separators.end() ? end : *separator + 1;
}

// Documents may be shorter than a context: what lies beyond the end is not scored.
void require_context(const std::string& name, const Tokens& tokens, uint64_t end, int T) {
    if (tokens.separators.empty() ? end > uint64_t(T) : end > 1) return;
    throw Error(Exit::input, name,
                "has " + std::to_string(end) + " tokens to train on; a context of " + std::to_string(T) +
                    " takes at least " + std::to_string(T + 1),
                "give more text or a smaller --context");
}

void warn_of_overlap(const Input& train, const Input& val, std::vector<std::string>& warnings) {
    for (const DataFile& v : val.files)
        for (const DataFile& t : train.files)
            if (v.hash == t.hash && v.bytes == t.bytes)
                return warnings.push_back(v.path + ": validates on the same data as " + t.path +
                                          " trains on: the loss will look too good");
}

void warn_of_unknown(const Input& input, const Tokens& tokens, std::vector<std::string>& warnings) {
    if (!tokens.unknown) return;
    warnings.push_back(input.name + ": " + std::to_string(tokens.unknown) + " of " +
                       std::to_string(tokens.source->size()) +
                       " tokens are not in the vocabulary and are read as the unknown token");
}

uint64_t fingerprint_of(const Data& data, const Tokens& train, const Tokens* val) {
    std::vector<uint64_t> facts{data.train.begin, data.train.end, train.source->hash()};
    if (data.val) facts.insert(facts.end(), {data.val->begin, data.val->end});
    if (val) facts.push_back(val->source->hash());
    for (const DataFile& file : data.files)
        if (!train.source->shards.empty()) facts.insert(facts.end(), {file.bytes, file.hash});
    return XXH64(facts.data(), facts.size() * sizeof facts[0], 0);
}

// Shards that we wrote have their tokenizer beside them; another one would read other text out of them.
void take_tokenizer_of_shards(Data& data, const Input& input) {
    if (!input.sidecar) return;
    const Sidecar& sidecar = *input.sidecar;
    if (!data.tokenizer && !sidecar.tokenizer_path.empty()) data.tokenizer = load_tokenizer(sidecar.tokenizer_path);
    if (data.tokenizer && files::hex(data.tokenizer->hash()) != sidecar.tokenizer_hash)
        throw Error(Exit::input, input.shards[0].path, "was made with another tokenizer",
                    "leave out --tokenizer, or make the shards again");
}

std::optional<double> ideal_loss_of(const Dataset& val, const Input& input, const Tokens& tokens) {
    if (input.log_p.empty() || tokens.unknown) return std::nullopt;
    const auto& lines = tokens.separators;
    const auto first = std::lower_bound(lines.begin(), lines.end(), val.begin) - lines.begin();
    return ideal_loss(input.log_p, size_t(first), val.tokens());
}

void check(const DataOptions& options) {
    if (options.data.empty()) throw Error(Exit::usage, "--data", "names no file");
    if (!(options.val_fraction >= 0 && options.val_fraction < 1))
        throw Error(Exit::usage, "--val-fraction", "must be at least 0 and below 1");
    if (options.T < 1) throw Error(Exit::usage, "--context", "must be at least 1");
}

}  // namespace

std::vector<std::string> expand_paths(const std::string& flag, const std::vector<std::string>& patterns) {
    std::vector<std::string> paths;
    for (const std::string& pattern : patterns)
        for (std::string& path : expand(flag, pattern)) paths.push_back(std::move(path));
    return paths;
}

Data load_data(const DataOptions& options, const DataProgress& progress) {
    check(options);
    Data data;
    Input train = read_input("--data", options.data, options, progress, data.warnings), val;
    if (!options.val.empty()) val = read_input("--val", options.val, options, progress, data.warnings);

    data.tokenizer = options.tokenizer;
    if (!data.tokenizer && train.content != Content::shards) data.tokenizer = train_tokenizer(options.kind, train.text);
    take_tokenizer_of_shards(data, train);
    if (data.tokenizer) take_tokenizer_of_shards(data, val);  // must be the same
    data.vocab = options.vocab ? options.vocab : data.tokenizer ? data.tokenizer->vocab_size() : train.shards[0].vocab;
    if (!data.vocab)
        throw Error(Exit::usage, train.name, "does not say how many tokens its tokenizer knows",
                    "give --vocab or --tokenizer FILE");

    const Tokens tokens = tokenise(train, data.tokenizer, data.vocab, options.separator, progress);
    const bool separate = !options.val.empty();
    const Tokens val_tokens =
        separate ? tokenise(val, data.tokenizer, data.vocab, options.separator, progress) : Tokens{};
    if (options.mask == DocumentMask::on && tokens.separator < 0)
        throw Error(Exit::usage, "--doc-mask", train.name + " has no documents: nothing separates them",
                    "use it with shards or a built-in corpus");

    const uint64_t size = tokens.source->size(), end = separate ? size : end_of_training(tokens, options.val_fraction);
    require_context(train.name, tokens, end, options.T);
    data.train = dataset(tokens, 0, end, Purpose::train, options);
    if (separate) data.val = dataset(val_tokens, 0, val_tokens.source->size(), Purpose::validate, options);
    else if (end < size) data.val = dataset(tokens, end - 1, size, Purpose::validate, options);
    if (separate && data.val->tokens() == 0)
        throw Error(Exit::input, val.name, "a single token cannot validate anything");
    if (data.val)
        data.ideal_loss =
            separate ? ideal_loss_of(*data.val, val, val_tokens) : ideal_loss_of(*data.val, train, tokens);
    data.files = train.files;
    data.files.insert(data.files.end(), val.files.begin(), val.files.end());
    data.fingerprint = fingerprint_of(data, tokens, separate ? &val_tokens : nullptr);
    warn_of_overlap(train, val, data.warnings);
    const bool all_known = !options.tokenizer && options.kind == TokenizerKind::character;  // trained on this very text
    if (!all_known) warn_of_unknown(train, tokens, data.warnings);
    if (separate) warn_of_unknown(val, val_tokens, data.warnings);
    if (!data.val && options.val_fraction > 0)
        data.warnings.push_back(train.name + ": too short to keep anything for validation");
    return data;
}
