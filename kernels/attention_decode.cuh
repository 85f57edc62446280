// Attention of one new token of each of B sequences, over the keys and values kept of the tokens before it and its own.
//
//   p = position[b]:  keys[b,kv,p] = k of qkv[b]     values[b,kv,p] = v of qkv[b]     which stay for the next token
//   score[s] = q[b,h] . keys[b,kv,s] / sqrt(HS) for 0 <= s <= p         out[b,h] = sum_s softmax(score)[s] values[b,kv,s]
//
//   qkv (B,NH+2*NKV,HS)   keys, values (B,NKV,S,HS): S tokens fit   position (B) < S   out (B,NH,HS)
//   attention_keep does the first line for a prompt, qkv (T,NH+2*NKV,HS), at p = 0 .. T-1 of one sequence.
//
// Long contexts are split (Dao et al. 2023, "Flash-Decoding"): a block owns 128 keys of a key/value head and all query
// heads that read it, up to 8 at a time, and leaves sums that a second kernel adds in order. The parts begin at
// multiples of 128 whatever else is in the batch. A lane owns 8 channels, several lanes a key, a warp several keys.
#pragma once
#include "../host/reference/attention_decode.h"
#include "common.cuh"

constexpr int decode_part = 128, decode_warps = 4, decode_threads = decode_warps * warp_size;
constexpr int decode_ahead = 4;                     // keys that a lane has on the way at a time

// What a part found for a query head.
struct DecodeSum { float max, total; };             // of its scores, and of exp(score - max)

struct DecodeShape {
    int S, NH, NKV, HS, parts, lanes;               // lanes of a key: a power of two
    float scale;
    __device__ size_t kept(int b, int kv, int s) const { return ((size_t(b) * NKV + kv) * S + s) * HS; }
    __device__ size_t part(int b, int h, int part) const { return (size_t(b) * NH + h) * parts + part; }
};

// A lane's 8 channels of a row: neighbours, or (W = 1) every 32nd. What is beyond the row reads as zeros.
template <int W, class T>
__device__ Vec<8> decode_load(const T* row, int lane, int HS) {
    Vec<8> x = {};
    if constexpr (W == 8) {
        if (lane * 8 < HS) x = load<8>(row + lane * 8);
    } else {
        for (int i = 0; i < 8; i++)
            if (lane + i * warp_size < HS) x[i] = float(row[lane + i * warp_size]);
    }
    return x;
}
template <int W>
__device__ void decode_store(float* row, const Vec<8>& x, int lane, int HS) {
    if constexpr (W == 8) {
        if (lane * 8 < HS) store<8>(row + lane * 8, x);
    } else {
        for (int i = 0; i < 8; i++)
            if (lane + i * warp_size < HS) row[lane + i * warp_size] = x[i];
    }
}

// use(i, row i) for rows mine, mine + step, ... below count, with several on their way at a time. All lanes come along as
// far as the first of them goes: beyond `count` a row is zeros.
template <int W, class Row, class Use>
__device__ void decode_rows(Row row, int mine, int step, int count, int lane, int HS, Use use) {
    for (int i0 = mine; i0 - mine < count; i0 += decode_ahead * step) {
        Vec<8> x[decode_ahead];
        #pragma unroll
        for (int a = 0; a < decode_ahead; a++)
            x[a] = i0 + a * step < count ? decode_load<W>(row(i0 + a * step), lane, HS) : Vec<8>{};
        #pragma unroll
        for (int a = 0; a < decode_ahead; a++) use(i0 + a * step, x[a]);
    }
}

// sums (B,NH,parts,HS) of exp(score - max) times values, and what they are relative to; the new token's row is kept.
template <int W, int H, class T>
__global__ void __launch_bounds__(decode_threads, 1)
attention_decode_kernel(float* sums, DecodeSum* found, T* keys, T* values, const T* qkv, const int* position,
                        DecodeShape at) {
    const int part = blockIdx.x, kv = blockIdx.y, b = blockIdx.z, p = position[b], begin = part * decode_part;
    const int count = std::min(int{decode_part}, p + 1 - begin);
    if (count <= 0) return;
    float *score = dynamic_shared<float>(), *of_warp = score + H * decode_part;      // (H,128), (warps,H,HS)
    const int warp = threadIdx.x / warp_size, in_warp = threadIdx.x % warp_size, lane = in_warp % at.lanes;
    const int at_once = warp_size / at.lanes, mine = warp * at_once + in_warp / at.lanes;     // keys
    const int group = at.NH / at.NKV, HS = at.HS, step = decode_warps * at_once;
    const T *q = qkv + size_t(b) * (at.NH + 2 * at.NKV) * HS + size_t(kv) * group * HS;
    const T *new_key = qkv + (size_t(b) * (at.NH + 2 * at.NKV) + at.NH + kv) * HS, *new_value = new_key + size_t(at.NKV) * HS;
    const auto key = [&](int i) { return begin + i == p ? new_key : keys + at.kept(b, kv, begin + i); };
    const auto value = [&](int i) { return begin + i == p ? new_value : values + at.kept(b, kv, begin + i); };

    for (int h0 = 0; h0 < group; h0 += H) {
        const int heads = std::min(H, group - h0), first = kv * group + h0;
        // Scores, with several keys on their way.
        Vec<8> x[H];
        #pragma unroll
        for (int h = 0; h < H; h++) x[h] = h < heads ? decode_load<W>(q + (h0 + h) * HS, lane, HS) : Vec<8>{};
        decode_rows<W>(key, mine, step, count, lane, HS, [&](int i, const Vec<8>& k) {
            #pragma unroll
            for (int h = 0; h < H; h++) {
                if (h >= heads) break;
                float product = 0;
                for (int j = 0; j < 8; j++) product = fmaf(x[h][j], k[j], product);
                for (int offset = at.lanes / 2; offset > 0; offset /= 2)
                    product += __shfl_xor_sync(~0u, product, offset);
                if (lane == 0 && i < count) score[h * decode_part + i] = product * at.scale;
            }
        });
        __syncthreads();

        // A warp owns a head: its scores become weights.
        for (int h = warp; h < heads; h += decode_warps) {
            float *row = score + h * decode_part, max = -INFINITY, total = 0;
            for (int i = in_warp; i < count; i += warp_size) max = fmaxf(max, row[i]);
            max = warp_max(max);
            for (int i = in_warp; i < count; i += warp_size) total += row[i] = __expf(row[i] - max);
            total = warp_sum(total);
            if (in_warp == 0) found[at.part(b, first + h, part)] = {max, total};
        }
        __syncthreads();

        // The weighted sum of the values: over the lanes' keys, then over the warp's, then over the block's.
        Vec<8> sum[H] = {};
        decode_rows<W>(value, mine, step, count, lane, HS, [&](int i, const Vec<8>& v) {
            #pragma unroll
            for (int h = 0; h < H; h++) {
                if (h >= heads) break;
                const float weight = i < count ? score[h * decode_part + i] : 0;
                for (int j = 0; j < 8; j++) sum[h][j] = fmaf(weight, v[j], sum[h][j]);
            }
        });
        #pragma unroll
        for (int h = 0; h < H; h++) {
            if (h >= heads) break;
            for (int offset = at.lanes; offset < warp_size; offset *= 2)
                for (int i = 0; i < 8; i++) sum[h][i] += __shfl_xor_sync(~0u, sum[h][i], offset);
            if (in_warp < at.lanes) decode_store<W>(of_warp + (warp * H + h) * HS, sum[h], lane, HS);
        }
        __syncthreads();
        for (int i = threadIdx.x; i < heads * HS; i += decode_threads) {
            const int h = i / HS, c = i % HS;
            float all = 0;
            for (int w = 0; w < decode_warps; w++) all += of_warp[(w * H + h) * HS + c];
            sums[at.part(b, first + h, part) * HS + c] = all;
        }
    }

    // Nobody else reads or writes the new token's row now.
    if (begin + count <= p) return;
    for (int c = threadIdx.x; c < HS; c += decode_threads) {
        keys[at.kept(b, kv, p) + c] = new_key[c];
        values[at.kept(b, kv, p) + c] = new_value[c];
    }
}

// A block owns a head, a thread a channel.
template <class T>
__global__ void attention_decode_combine_kernel(T* out, const float* sums, const DecodeSum* found, const int* position,
                                                DecodeShape at) {
    const int h = blockIdx.x, b = blockIdx.y, parts = position[b] / decode_part + 1;
    const DecodeSum* of = found + at.part(b, h, 0);
    float max = -INFINITY, total = 0, sum = 0;
    for (int i = 0; i < parts; i++) max = fmaxf(max, of[i].max);
    const int c = threadIdx.x;
    if (c >= at.HS) return;
    for (int i = 0; i < parts; i++) {
        const float weight = __expf(of[i].max - max);
        total = fmaf(weight, of[i].total, total);
        sum = fmaf(weight, sums[at.part(b, h, i) * at.HS + c], sum);
    }
    out[(size_t(b) * at.NH + h) * at.HS + c] = T(sum / total);
}

// blockIdx.y: keys or values. A thread owns a vector of a token's.
template <int W, class T>
__global__ void attention_keep_kernel(T* keys, T* values, const T* qkv, int TT, int S, int NH, int NKV, int HS) {
    const size_t i = flat_index<W>(), width = size_t(NKV) * HS;
    if (i >= TT * width) return;
    const int t = int(i / width), inside = int(i % width), kv = inside / HS, c = inside % HS;
    const T* from = qkv + size_t(t) * (NH + 2 * NKV) * HS + size_t(NH + (blockIdx.y ? NKV : 0)) * HS + inside;
    store<W>((blockIdx.y ? values : keys) + (size_t(kv) * S + t) * HS + c, load<W>(from));
}

template <class T>
void attention_keep(T* keys, T* values, const T* qkv, int TT, int S, int NH, int NKV, int HS, Gpu<T> on) {
    by_width(HS, {keys, values, qkv}, [&](auto W) {
        dim3 grid = flat_grid<W>(size_t(TT) * NKV * HS);
        grid.y = 2;
        launch(attention_keep_kernel<W, T>, grid, flat_block, 0, on, keys, values, qkv, TT, S, NH, NKV, HS);
    });
}

template <class T>
void attention_decode(T* out, T* keys, T* values, const T* qkv, const int* position, int B, int S, int NH, int NKV,
                      int HS, Gpu<T> on) {
    check_limit("attention_decode", "HS", HS, 8 * warp_size);
    REQUIRE(NH % NKV == 0);
    by_width(on.trusts(Kernels::attention_decode) ? HS : 1, {keys, values, qkv}, [&](auto W) {
        const int lanes = W == 8 ? int(std::bit_ceil(unsigned(ceil_div(HS, 8)))) : warp_size;
        const DecodeShape at{S, NH, NKV, HS, ceil_div(S, decode_part), lanes, 1 / std::sqrt(float(HS))};
        const size_t all = size_t(B) * NH * at.parts;
        float* sums = on.template scratch<float>(all * HS + 1 + 2 * all);
        DecodeSum* found = reinterpret_cast<DecodeSum*>(sums + round_up(all * HS, 2));
        const auto parts = [&](auto H) {
            const size_t bytes = sizeof(float) * H * (decode_part + decode_warps * HS);
            launch(attention_decode_kernel<W, H, T>, dim3(at.parts, NKV, B), decode_threads, bytes, on, sums, found,
                   keys, values, qkv, position, at);
        };
        if (NH / NKV <= 2) parts(std::integral_constant<int, 2>{});
        else parts(std::integral_constant<int, 8>{});
        launch(attention_decode_combine_kernel<T>, dim3(NH, B), round_up(HS, warp_size), 0, on, out, sums, found,
               position, at);
    });
}
