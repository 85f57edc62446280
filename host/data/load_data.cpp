#include "load_data.h"
#include <xxhash.h>
#include <algorithm>
#include "corpus.h"
#include "data_tokens.h"
#include "host/base/error.h"
#include "host/base/files.h"
#include "host/base/messages.h"
#include "host/tokenizer/load_tokenizer.h"

namespace {

// Greedily: a window starts at the last separator that the one before it reaches; within a document longer than T,
// where that ends.
std::vector<uint64_t> document_windows(const std::vector<uint64_t>& separators, uint64_t begin, uint64_t end, int T) {
    std::vector<uint64_t> starts{begin};
    while (starts.back() < end - 1) {
        const uint64_t reach = std::min(starts.back() + uint64_t(T), end - 1);
        const uint64_t document = *std::prev(std::upper_bound(separators.begin(), separators.end(), reach));
        starts.push_back(reach == end - 1 || document <= starts.back() ? reach : document);
    }
    return starts;
}

// Where the separators are, of tokens of which that is not known yet: reads all of them.
std::vector<uint64_t> find_separators(const DataTokens& tokens, const DataProgress& progress) {
    constexpr uint64_t piece = 1 << 20;
    std::vector<uint64_t> found;
    std::vector<int> read;
    const uint64_t size = tokens.source->size();
    for (uint64_t at = 0; at < size; at += piece) {
        read.resize(size_t(std::min(piece, size - at)));
        tokens.source->read(read, at);
        for (size_t i = 0; i < read.size(); i++)
            if (read[i] == tokens.separator) found.push_back(at + i);
        if (progress) progress("looking for documents", at, size);
    }
    return found;
}

Dataset dataset(const DataTokens& tokens, uint64_t begin, uint64_t end, Purpose purpose, const DataOptions& options,
                const DataProgress& progress) {
    Dataset data{tokens.source, begin, end, options.T, options.seed, purpose, options.mask, tokens.separator, {}, {}};
    if (!tokens.separators.empty()) data.starts = document_windows(tokens.separators, begin, end, options.T);
    if (purpose == Purpose::train && options.pack)
        data.packing = std::make_shared<const Packing>(
            tokens.separators.empty() ? find_separators(tokens, progress) : tokens.separators, begin, end - 1,
            options.T);
    return data;
}

// Where training ends: 1 - fraction of the tokens, or the end of the document there.
uint64_t end_of_training(const DataTokens& tokens, double fraction) {
    const uint64_t end = uint64_t(double(tokens.source->size()) * (1 - fraction));
    const auto separator = std::lower_bound(tokens.separators.begin(), tokens.separators.end(), end);
    return separator == tokens.separators.end() ? end : *separator + 1;
}

// Documents may be shorter than a context: what lies beyond the end is not scored.
void require_context(const std::string& name, const DataTokens& tokens, uint64_t end, int T, bool pack) {
    if (tokens.separators.empty() && !pack ? end > uint64_t(T) : end > 1) return;
    throw Error(Exit::input, name,
                "has " + std::to_string(end) + " tokens to train on; a context of " + std::to_string(T) +
                    " takes at least " + std::to_string(T + 1),
                "give more text or a smaller --context");
}

void warn_of_overlap(const DataInput& train, const DataInput& val, std::vector<std::string>& warnings) {
    for (const DataFile& v : val.files)
        for (const DataFile& t : train.files)
            if (v.hash == t.hash && v.bytes == t.bytes)
                return warnings.push_back(v.path + ": validates on the same data as " + t.path +
                                          " trains on: the loss will look too good");
}

void warn_of_unknown(const DataInput& input, const DataTokens& tokens, std::vector<std::string>& warnings) {
    if (!tokens.unknown) return;
    warnings.push_back(input.name + ": " + std::to_string(tokens.unknown) + " of " +
                       std::to_string(tokens.source->size()) +
                       " tokens are not in the vocabulary and are read as the unknown token");
}

uint64_t fingerprint_of(const Data& data, const DataTokens& train, const DataTokens* val) {
    std::vector<uint64_t> facts{data.train.begin, data.train.end, train.source->hash()};
    if (data.val) facts.insert(facts.end(), {data.val->begin, data.val->end});
    if (val) facts.push_back(val->source->hash());
    for (const DataFile& file : data.files)
        if (!train.source->shards.empty()) facts.insert(facts.end(), {file.bytes, file.hash});
    return XXH64(facts.data(), facts.size() * sizeof facts[0], 0);
}

uint64_t hash_of_shards(const Data& data) {
    std::vector<uint64_t> hashes;
    for (const DataFile& file : data.files)
        if (file.whole) hashes.push_back(file.whole);
    return hashes.empty() ? 0 : XXH64(hashes.data(), hashes.size() * sizeof hashes[0], 0);
}

// Shards that we wrote say how many tokens there are; of others it is known what such files usually hold.
void compare_vocabularies(const DataInput& input, const DataOptions& options, Data& data) {
    if (input.content != Content::shards || !input.shards[0].vocab) return;
    const Shard& shard = input.shards[0];
    const int theirs = shard.vocab, ours = data.vocab, padded = (theirs + 127) / 128 * 128;
    if (input.sidecar && ours < theirs)
        throw Error(
            Exit::input, shard.path,
            "its tokens are of " + std::to_string(theirs) + ", the model's vocabulary is " + std::to_string(ours),
            "take a model or a --vocab that knows them all");
    const bool same_tokenizer = input.sidecar && options.tokenizer;  // or take_tokenizer_of_shards had refused it
    if (ours > padded && !same_tokenizer)
        data.warnings.push_back(shard.path + ": " +
                                (input.sidecar ? "its tokens" : "the tokens of such files usually") + " are of " +
                                std::to_string(theirs) + ", the model's vocabulary is " + std::to_string(ours) +
                                ": was it made for this model? The others are never trained");
}

// Shards that we wrote have their tokenizer beside them; another one would decode them to other text.
void take_tokenizer_of_shards(Data& data, const DataInput& input) {
    if (!input.sidecar) return;
    const Sidecar& sidecar = *input.sidecar;
    if (!data.tokenizer && !sidecar.tokenizer_path.empty()) data.tokenizer = load_tokenizer(sidecar.tokenizer_path);
    if (data.tokenizer && files::hex(data.tokenizer->hash()) != sidecar.tokenizer_hash)
        throw Error(Exit::input, input.shards[0].path, "was made with another tokenizer",
                    "leave out --tokenizer, or make the shards again");
}

std::optional<double> ideal_loss_of(const Dataset& val, const DataInput& input, const DataTokens& tokens) {
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

// The given tokenizer, that of shards, or one trained on the text; and how many tokens the model must know.
void choose_tokenizer(Data& data, const DataOptions& options, const DataInput& train, const DataInput& val) {
    data.tokenizer = options.tokenizer;
    if (!data.tokenizer && train.content != Content::shards) {
        if (!options.may_train_tokenizer)
            throw Error(Exit::usage, "--data " + printable(train.name), "is text, but the model has no tokenizer",
                        "give --tokenizer FILE, or --tokenizer char to learn one that the model does not know yet");
        data.tokenizer = train_tokenizer(options.kind, train.text);
    }
    take_tokenizer_of_shards(data, train);
    if (data.tokenizer) take_tokenizer_of_shards(data, val);  // must be the same
    data.vocab = options.vocab ? options.vocab : data.tokenizer ? data.tokenizer->vocab_size() : train.shards[0].vocab;
    if (!data.vocab)
        throw Error(Exit::usage, printable(train.name), "does not say how many tokens its tokenizer knows",
                    "give --vocab or --tokenizer FILE");
    compare_vocabularies(train, options, data);
    compare_vocabularies(val, options, data);
}

// Lines of a built-in corpus are documents too, but short ones: there the mask must be asked for.
DataOptions with_mask(DataOptions options, const DataInput& train, const DataTokens& tokens) {
    if (options.mask == DocumentMask::where_known)
        options.mask =
            tokens.separator >= 0 && train.content != Content::builtin ? DocumentMask::on : DocumentMask::off;
    return options;
}

// Validation has data of its own, `val`, or the end of the training data, or none.
void divide(Data& data, const DataOptions& options, const DataInput& train, const DataTokens& tokens,
            const DataInput& val, const DataTokens* val_tokens, const DataProgress& progress) {
    const uint64_t size = tokens.source->size(),
                   end = val_tokens ? size : end_of_training(tokens, options.val_fraction);
    require_context(train.name, tokens, end, options.T, options.pack);
    data.train = dataset(tokens, 0, end, Purpose::train, options, progress);
    if (val_tokens)
        data.val = dataset(*val_tokens, 0, val_tokens->source->size(), Purpose::validate, options, progress);
    else if (end < size) data.val = dataset(tokens, end - 1, size, Purpose::validate, options, progress);
    if (val_tokens && data.val->tokens() == 0)
        throw Error(Exit::input, val.name, "a single token cannot validate anything");
    if (data.val)
        data.ideal_loss =
            val_tokens ? ideal_loss_of(*data.val, val, *val_tokens) : ideal_loss_of(*data.val, train, tokens);
}

void add_warnings(Data& data, const DataOptions& options, const DataInput& train, const DataTokens& tokens,
                  const DataInput& val, const DataTokens* val_tokens) {
    warn_of_overlap(train, val, data.warnings);
    const bool all_known = !options.tokenizer && options.kind == TokenizerKind::character;  // trained on this very text
    if (!all_known) warn_of_unknown(train, tokens, data.warnings);
    if (val_tokens) warn_of_unknown(val, *val_tokens, data.warnings);
    if (!data.val && options.val_fraction > 0)
        data.warnings.push_back(train.name + ": too short to keep anything for validation");
}

}  // namespace

Data load_data(const DataOptions& options, const DataProgress& progress) {
    check(options);
    Data data;
    const auto read = [&](const char* flag, const std::vector<std::string>& patterns) {
        return read_data_input(flag, patterns, options.token_type, options.reading, progress, data.warnings);
    };
    const bool separate = !options.val.empty();
    const DataInput train = read("--data", options.data), val = separate ? read("--val", options.val) : DataInput{};
    choose_tokenizer(data, options, train, val);

    const auto tokens_of = [&](const DataInput& input) {
        return tokenise(input, data.tokenizer, data.vocab, options.separator, progress);
    };
    const DataTokens tokens = tokens_of(train), val_tokens = separate ? tokens_of(val) : DataTokens{};
    const DataTokens* const apart = separate ? &val_tokens : nullptr;
    for (const auto& [flag, asked] :
         {std::pair{"--doc-mask", options.mask == DocumentMask::on}, {"--pack", options.pack}})
        if (asked && tokens.separator < 0)
            throw Error(Exit::usage, flag, train.name + " has no documents: nothing separates them",
                        "use it with JSON lines, shards or a built-in corpus");

    divide(data, with_mask(options, train, tokens), train, tokens, val, apart, progress);
    data.files = train.files;
    data.files.insert(data.files.end(), val.files.begin(), val.files.end());
    data.fingerprint = fingerprint_of(data, tokens, apart);
    data.shards_hash = hash_of_shards(data);
    add_warnings(data, options, train, tokens, val, apart);
    return data;
}
