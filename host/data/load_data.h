// From paths to datasets: which files, what is in them, and where training ends and validation begins.
#pragma once
#include <optional>
#include <string>
#include <vector>
#include "data_input.h"
#include "dataset.h"
#include "host/tokenizer/tokenizer.h"
#include "token_source.h"

struct DataOptions {
    std::vector<std::string> data = {"builtin:stories"};  // files, globs, or one builtin:NAME
    std::vector<std::string> val;                         // likewise; empty: the last val_fraction of data
    double val_fraction = 0.1;                            // 0: no validation
    int T = 128;
    uint64_t seed = 1;
    DocumentMask mask = DocumentMask::off;
    bool pack = false;                   // training windows hold whole documents
    std::optional<Tokenizer> tokenizer;  // a given one; else one of `kind` is trained on the text of data
    TokenizerKind kind = TokenizerKind::character;
    bool may_train_tokenizer = true;  // false: the model has learned ids of another one, which is not known
    TextReading reading;
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
    // The same only if every window is: XXH64 of all tokens of text, of the hashes of shards, and of the split.
    // Names do not count.
    uint64_t fingerprint = 0;
    uint64_t shards_hash = 0;           // of all of every shard; 0: there are none
    std::vector<std::string> warnings;  // one line each, to be said once
};

// Reads, checks and tokenises. Throws Error{usage, input, io}: no such file, a directory, an empty or broken shard,
// text shorter than a context, ids or characters a fixed vocabulary does not have.
Data load_data(const DataOptions& options, const DataProgress& progress = {});
