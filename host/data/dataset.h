// Tokens as windows: T inputs and, one further, T targets. Which window is sample number i is a pure function of
// (seed, i): batches, ranks, threads and interruptions do not change it, and the state of reading is that one integer.
//
//   plain text, shards   windows start at multiples of T; in training plus an offset that changes with every epoch
//   documents            a window starts at the separator before a document; the next starts at the first document that did
//                        not fit wholly. Validation ignores targets that the next window scores: every token counts once.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include "host/model/batch.h"
#include "host/tokenizer/tokenizer.h"
#include "token_source.h"

struct DataFile {
    std::string path;
    uint64_t bytes = 0,
             hash = 0;  // hash of a text: all of it; of a shard: header, size and 64 blocks of 4 KiB spread evenly
};

enum class Purpose { train, validate };
enum class DocumentMask { off, on };

struct Window {
    uint64_t begin;  // its first input; the last target is begin + T
    int scored;      // targets 0 .. scored-1 count, the rest is ignored_target
};

struct Dataset {
    std::shared_ptr<const TokenSource> source;
    uint64_t begin = 0, end = 0;  // of the source's tokens; the first is only ever an input
    int T = 0;
    uint64_t seed = 0;
    Purpose purpose = Purpose::train;
    DocumentMask mask = DocumentMask::off;
    int separator = -1;            // the token before every document; -1: no documents
    std::vector<uint64_t> starts;  // of the windows, and the end; empty: multiples of T

    uint64_t tokens() const { return end - begin - 1; }  // targets of one pass
    uint64_t windows() const;                            // per epoch
    Window window(uint64_t sample) const;                // train: any sample number; validate: below windows()

    // Samples first .. first+B-1. With the mask a token sees its own document only and positions count from its start.
    // Throws Error{input} naming shard and place of an id outside the vocabulary, and if a shard cannot be read any more.
    void fill(HostBatch& batch, uint64_t first, int B) const;
    uint64_t valid(uint64_t first, uint64_t count) const;  // targets of these samples that count; reads no token
};

struct DataOptions {
    std::vector<std::string> data = {"builtin:stories"};  // files, globs, or one builtin:NAME
    std::vector<std::string> val;                         // likewise; empty: the last val_fraction of data
    double val_fraction = 0.1;                            // 0: no validation
    int T = 128;
    uint64_t seed = 1;
    DocumentMask mask = DocumentMask::off;
    std::optional<Tokenizer> tokenizer;  // a given one; else one of `kind` is trained on the text of data
    TokenizerKind kind = TokenizerKind::character;
    std::optional<TokenType> token_type;  // of .bin files without a header (nanoGPT's)
    int separator = -1;                   // the model's end of text, where the shards do not say
    int vocab = 0;                        // of the model, if that is fixed; 0: the tokenizer's or shards' own
};

struct Data {
    Dataset train;
    std::optional<Dataset> val;
    std::optional<Tokenizer> tokenizer;  // none: shards, and nobody gave one
    int vocab = 0;
    std::optional<double> ideal_loss;  // nats per validation token, of the built-in corpora
    std::vector<DataFile> files;       // in the order of their tokens, training before validation
    // The same only if every window is: XXH64 of all tokens of text, of the hashes of shards, and of the split. Names do not count.
    uint64_t fingerprint = 0;
    std::vector<std::string> warnings;  // one line each, to be said once
};

using DataProgress = std::function<void(const std::string& what, uint64_t done, uint64_t total)>;  // bytes

// The files that paths and patterns stand for, each pattern's sorted. Throws Error naming the flag where none matches.
std::vector<std::string> expand_paths(const std::string& flag, const std::vector<std::string>& patterns);

// Reads, checks and tokenises. Throws Error{usage, input, io}: no such file, a directory, an empty or broken shard,
// text shorter than a context, ids or characters a fixed vocabulary does not have.
Data load_data(const DataOptions& options, const DataProgress& progress = {});
