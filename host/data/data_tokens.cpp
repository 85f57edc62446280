#include "data_tokens.h"
#include <omp.h>
#include <algorithm>
#include <utility>
#include "host/base/error.h"
#include "host/base/messages.h"

namespace {

constexpr size_t chunk = 1 << 20;  // bytes of text a thread tokenises at a time

// Encodes in parallel, chunk by chunk, and appends in order, `separator` before every document. Returns how many tokens
// are the unknown one.
size_t add_text(TokenSource& source, const Tokenizer& tokenizer, std::string_view all,
                std::span<const DocumentPlace> documents, int separator, const DataProgress& progress) {
    struct Piece {
        std::string_view text;
        bool begins;
    };
    const size_t batch = size_t(4 * omp_get_max_threads()) * chunk;
    size_t unknown = 0, bytes = 0;
    std::vector<Piece> pieces;
    std::vector<std::vector<int>> parts;
    const auto flush = [&] {
        parts.assign(pieces.size(), {});
#pragma omp parallel for schedule(dynamic)
        for (size_t i = 0; i < pieces.size(); i++)
            parts[i] = tokenizer.encode(pieces[i].text, Specials::as_text,
                                        pieces[i].begins ? Place::beginning : Place::middle);
        for (size_t i = 0; i < pieces.size(); i++) {
            if (pieces[i].begins && separator >= 0) source.add(std::span(&separator, 1));
            source.add(parts[i]);
            if (tokenizer.unknown >= 0)
                unknown += size_t(std::count(parts[i].begin(), parts[i].end(), tokenizer.unknown));
        }
        if (progress && !pieces.empty())
            progress("tokenising", uint64_t(pieces.back().text.data() + pieces.back().text.size() - all.data()),
                     all.size());
        pieces.clear(), bytes = 0;
    };
    for (const DocumentPlace& place : documents) {
        std::string_view text = all.substr(place.begin, place.end - place.begin);
        bool begins = true;
        do {
            const size_t cut = tokenizer.safe_cut(text, std::min(chunk, text.size()));
            pieces.push_back({text.substr(0, cut), std::exchange(begins, false)});
            text.remove_prefix(cut), bytes += cut;
            if (bytes >= batch) flush();
        } while (!text.empty());
    }
    flush();
    return unknown;
}

}  // namespace

DataTokens tokenise(const DataInput& input, const std::optional<Tokenizer>& tokenizer, int vocab, int end_of_text,
                    const DataProgress& progress) {
    DataTokens tokens;
    auto source = std::make_shared<TokenSource>(vocab);
    tokens.source = source;
    if (input.content == Content::shards) {
        for (const Shard& shard : input.shards) source->add(shard);
        const int separator = input.shards[0].separator < 0 ? end_of_text : input.shards[0].separator;
        tokens.separator = separator < vocab ? separator : -1;
        return tokens;
    }
    if (!tokenizer)
        throw Error(Exit::usage, printable(input.name),
                    "is text, but nobody said how to make it the tokens of the shards", "give --tokenizer FILE");
    if (tokenizer->vocab_size() > vocab)
        throw Error(Exit::input, input.name,
                    "the tokenizer for it has " + std::to_string(tokenizer->vocab_size()) +
                        " tokens, the model's vocabulary " + std::to_string(vocab),
                    "use the tokenizer the model was trained with");
    if (input.content == Content::builtin) {
        const std::vector<int> line_feed = tokenizer->encode("\n", Specials::as_text, Place::middle);
        if (tokenizer->decode(line_feed) != "\n" || line_feed.size() != 1)
            throw Error(Exit::usage, "--data " + printable(input.name), "the tokenizer has no line feed",
                        "choose --tokenizer char");
        source->add(line_feed);
        tokens.separator = line_feed[0];
    }
    const int separator = tokenizer->separator();
    const bool separated = !input.documents.empty() && separator >= 0;
    const DocumentPlace all{0, input.text.size()};
    tokens.unknown = separated ? add_text(*source, *tokenizer, input.text, input.documents, separator, progress)
                               : add_text(*source, *tokenizer, input.text, {&all, 1}, -1, progress);
    if (tokens.separator >= 0)
        for (uint64_t i = 0; i < source->size(); i++)
            if (source->at(i) == tokens.separator) tokens.separators.push_back(i);
    if (separated) tokens.separator = separator;
    return tokens;
}
