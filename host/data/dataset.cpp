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
    if (!starts.empty()) return starts.size() - 1;
    return purpose == Purpose::train ? training_windows(end - begin, T) : (tokens() + uint64_t(T) - 1) / uint64_t(T);
}

Window Dataset::window(uint64_t sample) const {
    const uint64_t n = windows(), T64 = uint64_t(T);
    uint64_t place = sample, offset = 0;
    if (purpose == Purpose::train) {
        const uint64_t epoch = sample / n;
        place = Permutation{n, seed, uint32_t(epoch)}(sample % n);
        if (starts.empty()) offset = epoch_offset(*this, epoch);
    }
    REQUIRE(place < n);
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
    const int B = int(samples.size());
    const size_t N = size_t(B) * size_t(T);
    batch.B = B, batch.T = T;
    batch.token.resize(N), batch.target.resize(N), batch.position.resize(N);
    batch.first.resize(mask == DocumentMask::on ? N : 0);
    std::vector<int> tokens(size_t(T) + 1);
    for (int b = 0; b < B; b++) {
        const Window w = window(samples[size_t(b)]);
        const size_t there = size_t(std::min<uint64_t>(uint64_t(T) + 1, end - w.begin));
        source->read(std::span(tokens).first(there), w.begin);
        std::fill(tokens.begin() + std::ptrdiff_t(there), tokens.end(), tokens[0]);  // beyond the end: not scored
        for (int t = 0, document = 0; t < T; t++) {
            const size_t n = size_t(b) * size_t(T) + size_t(t);
            if (mask == DocumentMask::on && tokens[size_t(t)] == separator) document = t;
            batch.token[n] = tokens[size_t(t)];
            batch.target[n] = t < w.scored ? tokens[size_t(t) + 1] : ignored_target;
            batch.position[n] = t - document;
            if (mask == DocumentMask::on) batch.first[n] = document;
        }
    }
}

uint64_t Dataset::valid(uint64_t first_sample, uint64_t count) const {
    uint64_t sum = 0;
    for (uint64_t i = 0; i < count; i++) sum += uint64_t(window(first_sample + i).scored);
    return sum;
}
