// Dropout of the probabilities in tensor cores' fragments: which of them attention_factor() in attention.cuh keeps.
//
// A Philox call gives the words of four neighbouring keys of a query. Fragments spread these over two lanes where rows
// are queries, over four where rows are keys, and the same lanes share as many such fours. So each lane makes the calls
// of one of the fours, a bit for every word, and then they exchange bits: no word is computed twice.
#pragma once
#include <bit>
#include "host/reference/attention.h"
#include "kernels/tools/common.cuh"

class AttentionDropout {
    Noise noise;
    uint32_t site, least;  // a smaller word drops its element

public:
    // uniform(word) < p, which looks at a word's upper 24 bits, is word < least.
    __device__ explicit AttentionDropout(const Dropout& drop)
        : noise(drop.p > 0 ? *drop.noise : Noise{}), site(drop.site), least(uint32_t(ceilf(drop.p * 0x1p24f)) << 8) {}

    // Calls from a query's first to the next query's.
    __device__ static uint32_t row(const AttentionHead& at) { return at.NH * ceil_div(at.T, 4); }

    // The Philox call of keys s, s + 1, s + 2, s + 3 of query t, head h. s is a multiple of 4.
    __device__ uint64_t call(const AttentionHead& at, int b, int h, int t, int s) const {
        return (uint64_t(noise.row) + uint32_t(b * at.T + t)) * row(at) + uint32_t(h * ceil_div(at.T, 4) + s / 4);
    }
    // Bit 8 k + j: whether word k of call first + step * j keeps its element. The calls are those of philox(), side by
    // side, so that they share their rounds' keys and none waits for its own products.
    template <int J>
    __device__ uint32_t keeps(uint64_t first, uint32_t step) const {
        static_assert(J <= 8);
        Words words[J];
        UNROLL
        for (int j = 0; j < J; j++) {
            const uint64_t call = first + uint64_t(step) * j;
            words[j] = {{uint32_t(call), uint32_t(call >> 32), site, noise.step}};
        }
        uint32_t key0 = uint32_t(noise.seed), key1 = uint32_t(noise.seed >> 32);
        UNROLL
        for (int round = 0; round < 10; round++, key0 += 0x9E3779B9u, key1 += 0xBB67AE85u) {
            UNROLL
            for (Words& x : words) {
                const uint64_t a = multiply_wide(0xD2511F53u, x.w[0]), b = multiply_wide(0xCD9E8D57u, x.w[2]);
                x = {{uint32_t(b >> 32) ^ x.w[1] ^ key0, uint32_t(b), uint32_t(a >> 32) ^ x.w[3] ^ key1, uint32_t(a)}};
            }
        }
        uint32_t bits = 0;
        UNROLL
        for (int j = 0; j < J; j++) {
            UNROLL
            for (int k = 0; k < 4; k++)
                if (words[j].w[k] >= least) bits |= 1u << (8 * k + j);
        }
        return bits;
    }
};

// Two lanes, `distance` apart, exchange bits. The lower one keeps its own of `low`, and the other's come to stand
// `shift` above them; the upper one keeps the rest, and the other's rest comes to stand below. No branch: the compiler
// would pull all that leads to these bits into both of its ways.
__device__ inline uint32_t exchange_bits(uint32_t bits, int distance, int shift, uint32_t low) {
    const bool upper = threadIdx.x & distance;
    const uint32_t keep = upper ? ~low : low, other = __shfl_xor_sync(~0u, bits, distance);
    return (bits & keep) | (std::rotl(other, upper ? -shift : shift) & ~keep);
}

// Whether a fragment's elements are kept: that of x[i][j][c] is bit 8 c + j of bits[i].
template <int I>
struct AttentionKept {
    uint32_t bits[I];

    // Rows are queries from t0 on, columns keys from s0 on. The even lane of two neighbours begins with their rows g,
    // the odd one with their rows g + 8; each ends with its own two columns of both.
    template <int J>
    __device__ void of_queries(const AttentionDropout& drop, const AttentionHead& at, int b, int h, int t0, int s0) {
        const int lane = threadIdx.x % warp_size, g = lane / 4, quad = lane % 4;
        find<J>(drop, drop.call(at, b, h, t0 + 8 * (quad % 2) + g, s0 + quad / 2 * 4), 2, 16 * drop.row(at));
        for (uint32_t& mine : bits) mine = exchange_bits(mine, 1, 16, 0x0000ffff);
    }
    // Rows are keys, columns queries. Of the four lanes that share four rows, each begins with one of their elements
    // (row g or g + 8, left or right column), and all four rows of it; it ends with all four of its own row.
    template <int J>
    __device__ void of_keys(const AttentionDropout& drop, const AttentionHead& at, int b, int h, int s0, int t0) {
        const int lane = threadIdx.x % warp_size, g = lane / 4, quad = lane % 4;
        const int t = t0 + 2 * quad + g % 2, s = s0 + 8 * (g / 2 % 2) + g / 4 * 4;
        find<J>(drop, drop.call(at, b, h, t, s), 8 * drop.row(at), 4);
        for (uint32_t& mine : bits) mine = exchange_bits(exchange_bits(mine, 4, 8, 0x00ff00ff), 8, 16, 0x0000ffff);
    }
    // Elements that are not kept become zeros, by masks: a select for each would need a predicate, of which there are
    // seven, and the compiler then spills.
    template <int J>
    __device__ void of(float (&x)[I][J][4]) const {
        UNROLL
        for (int i = 0; i < I; i++) {
            UNROLL
            for (int j = 0; j < J; j++) {
                UNROLL
                for (int c = 0; c < 4; c++) {
                    const uint32_t mask = byte_signs(bits[i] << (7 - j), 0x8888 + 0x1111 * c);
                    x[i][j][c] = __uint_as_float(__float_as_uint(x[i][j][c]) & mask);
                }
            }
        }
    }
    // The same of elements c and c + 1, rounded to a register.
    __device__ uint32_t operator()(uint32_t pair, int i, int j, int c) const {
        return pair & byte_signs(bits[i] << (7 - j), 0x9988 + 0x1111 * c);
    }

private:
    // i: by `next` calls, j: by `step` calls from the first.
    template <int J>
    __device__ void find(const AttentionDropout& drop, uint64_t first, uint32_t step, uint32_t next) {
        UNROLL
        for (int i = 0; i < I; i++) bits[i] = drop.keeps<J>(first + uint64_t(next) * i, step);
    }
};
