#include "dataset.h"
#include <algorithm>
#include <numeric>
#include "host/base/error.h"
#include "permutation.h"
#include "token_source.h"

namespace {

// What an epoch's offset is drawn with; the permutation's key is the epoch below.
constexpr uint32_t offset_counter = 0x0FF5E7;

uint64_t training_windows(uint64_t tokens, int T) {
    const uint64_t T64 = uint64_t(T);
    return std::max<uint64_t>(tokens / T64, 2) - 1;  // leaves room for an offset of up to T - 1
}

// Where an epoch's first window begins: every epoch cuts its windows elsewhere.
uint64_t epoch_offset(const Dataset& data, uint64_t epoch) {
    const uint64_t room = data.end - data.begin - 1 - data.windows() * uint64_t(data.T);
    const Words words = philox({{uint32_t(epoch), uint32_t(epoch >> 32), 0, offset_counter}}, data.seed);
    return words.w[0] % (std::min<uint64_t>(room, uint64_t(data.T) - 1) + 1);
}

}  // namespace

uint64_t Dataset::windows() const {
    if (packing) return packing->windows();
    if (!starts.empty()) return starts.size() - 1;
    return purpose == Purpose::train ? training_windows(end - begin, T) : (tokens() + uint64_t(T) - 1) / uint64_t(T);
}

uint64_t Dataset::place(uint64_t sample) const {
    const uint64_t n = windows();
    const uint64_t place = purpose == Purpose::train ? Permutation{n, seed, uint32_t(sample / n)}(sample % n) : sample;
    REQUIRE(place < n);
    return place;
}

Window Dataset::window(uint64_t sample) const {
    const uint64_t n = windows(), T64 = uint64_t(T), place = this->place(sample);
    const uint64_t offset = purpose == Purpose::train && starts.empty() ? epoch_offset(*this, sample / n) : 0;
    const uint64_t from = starts.empty() ? begin + offset + place * T64 : starts[place];
    const uint64_t fits = std::min(T64, end - 1 - from);  // targets there are
    const bool cut = purpose == Purpose::validate && !starts.empty();
    return {from, int(cut ? starts[place + 1] - from : fits)};
}

void Dataset::fill(HostBatch& batch, uint64_t first, int B) const {
    std::vector<uint64_t> samples(static_cast<size_t>(B));
    std::iota(samples.begin(), samples.end(), first);
    fill(batch, samples);
}

void Dataset::fill(HostBatch& batch, std::span<const uint64_t> samples) const {
    const size_t B = samples.size(), N = B * size_t(T);
    batch.B = int(B), batch.T = T;
    batch.token.resize(N), batch.target.resize(N), batch.position.resize(N);
    batch.first.resize(mask == DocumentMask::on ? N : 0);
    for (size_t b = 0; b < B; b++) {
        if (packing) fill_packed(batch, b * size_t(T), place(samples[b]));
        else fill_window(batch, b * size_t(T), window(samples[b]));
    }
}

void Dataset::fill_window(HostBatch& batch, size_t from, const Window& w) const {
    std::vector<int> tokens(size_t(T) + 1);
    const size_t there = size_t(std::min<uint64_t>(uint64_t(T) + 1, end - w.begin));
    source->read(std::span(tokens).first(there), w.begin);
    std::fill(tokens.begin() + std::ptrdiff_t(there), tokens.end(), tokens[0]);  // beyond the end: not scored
    for (int t = 0, document = 0; t < T; t++) {
        const size_t n = from + size_t(t);
        if (mask == DocumentMask::on && tokens[size_t(t)] == separator) document = t;
        batch.token[n] = tokens[size_t(t)];
        batch.target[n] = t < w.scored ? tokens[size_t(t) + 1] : ignored_target;
        batch.position[n] = t - document;
        if (mask == DocumentMask::on) batch.first[n] = document;
    }
}

// What is left of the window is separators, each alone, that predict nothing.
void Dataset::fill_packed(HostBatch& batch, size_t from, uint64_t window) const {
    std::vector<int> tokens;
    int t = 0;
    const auto put = [&](int token, int target, int document) {
        const size_t n = from + size_t(t);
        batch.token[n] = token, batch.target[n] = target;
        batch.position[n] = mask == DocumentMask::on ? t - document : t;
        if (mask == DocumentMask::on) batch.first[n] = document;
        t++;
    };
    for (const Packing::Piece& piece : packing->pieces(window)) {
        tokens.resize(size_t(piece.count) + 1);
        source->read(tokens, piece.begin);
        for (int i = 0, document = t; i < int(piece.count); i++)
            put(tokens[size_t(i)], tokens[size_t(i) + 1], document);
    }
    while (t < T) put(separator, ignored_target, t);
}

uint64_t Dataset::valid(uint64_t first_sample, uint64_t count) const {
    uint64_t sum = 0;
    for (uint64_t i = 0; i < count; i++)
        sum += uint64_t(packing ? packing->inputs(place(first_sample + i)) : window(first_sample + i).scored);
    return sum;
}
