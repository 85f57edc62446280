// Counter-based random numbers, Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011):
// the number at a place is a function of that place, so there is no state to save and no order to keep.
#pragma once
#include <algorithm>
#include <cstdint>

struct Words {
    uint32_t w[4];
};

constexpr Words philox(Words counter, uint64_t seed) {
    uint32_t key0 = uint32_t(seed), key1 = uint32_t(seed >> 32);
    for (int round = 0; round < 10; round++) {
        const uint64_t a = uint64_t(0xD2511F53u) * counter.w[0], b = uint64_t(0xCD9E8D57u) * counter.w[2];
        counter = {{uint32_t(b >> 32) ^ counter.w[1] ^ key0, uint32_t(b), uint32_t(a >> 32) ^ counter.w[3] ^ key1,
                    uint32_t(a)}};
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    return counter;
}

// Uniform in [0, 1) with 24 bits.
constexpr float uniform(uint32_t word) { return float(word >> 8) * 0x1p-24f; }

// What changes from one micro-batch to the next; in device memory, so that a captured graph can be replayed.
struct Noise {
    uint64_t seed = 0;
    uint32_t step = 0;  // optimiser step
    uint32_t row = 0;   // index, in the whole batch of this step, of the micro-batch's first token
};

// Dropout with probability p at one place (`site`) of the model.
struct Dropout {
    float p = 0;
    uint32_t site = 0;
    const Noise* noise = nullptr;
};

// Dropout factor of a random word.
constexpr float dropout_factor(uint32_t word, float p) { return uniform(word) < p ? 0.0f : 1 / (1 - p); }

// The factor of element `index` of a tensor under dropout: 0 with probability p, else 1 / (1 - p).
constexpr float dropout_factor(const Dropout& drop, uint64_t index) {
    const Words words =
        philox({{uint32_t(index >> 2), uint32_t(index >> 34), drop.site, drop.noise->step}}, drop.noise->seed);
    return dropout_factor(words.w[index & 3], drop.p);
}

// The factors of elements first, first + 1, ...: one Philox call for four of them, 16 calls side by side.
template <class T>
void dropout_factors(T* factor, const Dropout& drop, uint64_t first, int count) {
    constexpr int calls = 16;
    uint32_t words[4 * calls];
    const uint64_t end = first + count;
    for (uint64_t at = first & ~uint64_t(3); at < end; at += 4 * calls) {
#pragma omp simd
        for (int i = 0; i < calls; i++) {
            const uint64_t call = (at >> 2) + i;
            const Words w =
                philox({{uint32_t(call), uint32_t(call >> 32), drop.site, drop.noise->step}}, drop.noise->seed);
            for (int j = 0; j < 4; j++) words[4 * i + j] = w.w[j];
        }
        const int skip = at < first ? int(first - at) : 0, stop = int(std::min<uint64_t>(4 * calls, end - at));
#pragma omp simd
        for (int j = skip; j < stop; j++) factor[at + j - first] = T(dropout_factor(words[j], drop.p));
    }
}
