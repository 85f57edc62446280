// Tokens as windows: T inputs and, one further, T targets. Which window is sample number i is a pure function of
// (seed, i): batches, ranks, threads and interruptions do not change it, and the state of reading is that one integer.
//
//   plain text, shards   windows start at multiples of T; in training plus an offset that changes with every epoch
//   documents            a window starts at the separator before a document; the next starts at the first document
//                        that did not fit wholly. Validation ignores targets that the next window scores: every
//                        token counts once.
//   packed documents     a training window holds whole documents (packing.h)
#pragma once
#include <memory>
#include <span>
#include <vector>
#include "host/model/batch.h"
#include "packing.h"
#include "token_source.h"

enum class Purpose { train, validate };
enum class DocumentMask { off, on, where_known };

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
    int separator = -1;                           // the token before every document; -1: no documents
    std::vector<uint64_t> starts;                 // of the windows, and the end; empty: multiples of T
    std::shared_ptr<const Packing> packing = {};  // of training, or null

    uint64_t tokens() const { return end - begin - 1; }  // targets of one pass
    uint64_t windows() const;                            // per epoch
    Window window(uint64_t sample) const;  // train: any sample number; validate: below windows(). Not of packed ones

    // Samples first .. first+B-1. With the mask a token sees its own document only and positions count from its start.
    // Throws Error{input} naming shard and place of an id outside the vocabulary,
    // and if a shard cannot be read any more.
    void fill(HostBatch& batch, uint64_t first, int B) const;
    void fill(HostBatch& batch, std::span<const uint64_t> samples) const;
    uint64_t valid(uint64_t first, uint64_t count) const;  // targets of these samples that count; reads no token

private:
    uint64_t place(uint64_t sample) const;  // of its window, in the order of the tokens
    void fill_window(HostBatch& batch, size_t from, const Window& w) const;
    void fill_packed(HostBatch& batch, size_t from, uint64_t window) const;
};
