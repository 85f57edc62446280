// Attention of one new token of each of B sequences, over the keys and values kept of the tokens before it and its own.
//
//   p = position[b]:  keys[b,kv,p] = k of qkv[b]     values[b,kv,p] = v of qkv[b]     which stay for the next token
//   score[s] = q[b,h] . keys[b,kv,s] / sqrt(HS) for 0 <= s <= p       out[b,h] = sum_s softmax(score)[s] values[b,kv,s]
//   of which a sliding layer sees only the last `window` keys: p - window < s <= p
//
//   qkv (B,NH+2*NKV,HS)   keys, values (B,NKV,S,HS): S tokens fit   position (B) < S   out (B,NH,HS)
//   attention_keep does the first line for a prompt, qkv (T,NH+2*NKV,HS), at p = 0 .. T-1 of one sequence.
//
// Long contexts are split (Dao et al. 2023, "Flash-Decoding"): a block owns 128 keys of a key/value head and the query
// heads that read it, up to 8 of them, and leaves sums that a second kernel adds in a fixed order. The parts begin at
// multiples of 128, or where the window does, whatever else is in the batch. A lane owns 8 channels, several lanes a
// key, a warp several keys.
#pragma once
#include "host/reference/attention_decode.h"
#include "kernels/tools/common.cuh"

constexpr int decode_part = 128, decode_warps = 4, decode_threads = decode_warps * warp_size;
// Keys that a lane has in flight at a time: as many as leave registers for the heads' queries or sums.
template <int W, int H>
constexpr int decode_ahead = W == 1   ? 2
                             : H == 2 ? 8
                                      : 4;

// What a part found for a query head.
struct alignas(8) DecodeSum {
    float max, total;
};  // of its scores, and of exp(score - max)

struct DecodeShape {
    int S, NH, NKV, HS, window, parts, lanes;  // lanes of a key: a power of two
    float scale;
    __device__ int first_key(int p) const { return first_in_window(p, window); }
    __device__ size_t kept(int b, int kv, int s) const { return ((size_t(b) * NKV + kv) * S + s) * HS; }
    __device__ size_t part(int b, int h, int part) const { return (size_t(b) * NH + h) * parts + part; }
};

// A lane's 8 channels of a row: neighbours, or (W = 1) every 32nd. Beyond the row the first is read again: a condition
// would keep the loads of several rows from overlapping.
template <int W, class T>
__device__ Raw<8, T> decode_load(const T* row, int lane, int HS) {
    if constexpr (W == 8) {
        return load_raw<8>(row + (lane * 8 < HS ? lane * 8 : 0));
    } else {
        T x[8];
        for (int i = 0; i < 8; i++) x[i] = row[lane + i * warp_size < HS ? lane + i * warp_size : 0];
        Raw<8, T> raw;
        std::memcpy(&raw, x, sizeof raw);
        return raw;
    }
}
template <int W>
__device__ bool decode_inside(int i, int lane, int HS) {
    return (W == 8 ? lane * 8 : lane + i * warp_size) < HS;
}
template <int W>
__device__ void decode_store(float* row, const Vec<8>& x, int lane, int HS) {
    if constexpr (W == 8) {
        if (decode_inside<W>(0, lane, HS)) store<8>(row + lane * 8, x);
    } else {
        for (int i = 0; i < 8; i++)
            if (decode_inside<W>(i, lane, HS)) row[lane + i * warp_size] = x[i];
    }
}

// What a block owns: keys begin .. begin + count - 1 of a key/value head, and of the query heads that read it `heads`,
// from `first` on. Keys are counted from `begin`: a lane's are mine, mine + step, ...
template <int H>
struct DecodeBlock {
    DecodeShape at;
    int b, kv, part, p, begin, count;  // p: the new token's position
    int h0, heads, first;              // h0: the first head's number among those that read the keys
    int warp, in_warp, lane, mine, step;

    __device__ DecodeBlock(const int* position, const DecodeShape& at) : at(at) {
        const int group = at.NH / at.NKV, turns = ceil_div(group, H), at_once = warp_size / at.lanes;  // keys of a warp
        b = blockIdx.z, kv = blockIdx.y / turns, part = blockIdx.x, p = position[b];
        begin = std::max(part * decode_part, at.first_key(p));
        count = std::min((part + 1) * decode_part, p + 1) - begin;
        h0 = blockIdx.y % turns * H, heads = std::min(H, group - h0), first = kv * group + h0;
        warp = threadIdx.x / warp_size, in_warp = threadIdx.x % warp_size, lane = in_warp % at.lanes;
        mine = warp * at_once + in_warp / at.lanes, step = decode_warps * at_once;
    }
    __device__ size_t part_of(int h) const { return at.part(b, first + h, part); }
};

// use(i, rows i, i + step, ...), `ahead` of them, all loaded together, for i = mine, mine + ahead * step, ...
// below count. All lanes iterate as often as the first one does: rows from `count` on are the last row again. The new
// token's row is not among the kept ones yet.
template <int W, int H, class T, class Use>
__device__ void decode_rows(const T* kept, const T* new_row, const DecodeBlock<H>& own, Use use) {
    constexpr int ahead = decode_ahead<W, H>;
    const int HS = own.at.HS;
    const auto row = [&](int i) { return own.begin + i == own.p ? new_row : kept + i * HS; };
    for (int i0 = own.mine; i0 - own.mine < own.count; i0 += ahead * own.step) {
        Raw<8, T> raw[ahead];
        UNROLL
        for (int a = 0; a < ahead; a++)
            raw[a] = decode_load<W>(row(std::min(i0 + a * own.step, own.count - 1)), own.lane, HS);
        Vec<8> x[ahead];
        UNROLL
        for (int a = 0; a < ahead; a++) x[a] = floats(raw[a]);
        use(i0, x);
    }
}

// The lane's channels of the block's queries, zeros beyond the head.
template <int W, int H, class T>
__device__ void decode_queries(Vec<8> (&x)[H], const T* q, const DecodeBlock<H>& own) {
    Raw<8, T> raw[H];
    UNROLL
    for (int h = 0; h < H; h++)
        raw[h] = decode_load<W>(q + std::min(h, own.heads - 1) * own.at.HS, own.lane, own.at.HS);
    UNROLL
    for (int h = 0; h < H; h++) {
        x[h] = floats(raw[h]);
        for (int j = 0; j < 8; j++)
            if (!decode_inside<W>(j, own.lane, own.at.HS)) x[h][j] = 0;
    }
}

// score[h][i] = x[h] . key i, scaled.
template <int W, int H, class T>
__device__ void decode_scores(float* score, const Vec<8> (&x)[H], const T* kept_keys, const T* new_key,
                              const DecodeBlock<H>& own) {
    constexpr int ahead = decode_ahead<W, H>;
    decode_rows<W>(kept_keys, new_key, own, [&](int i0, const Vec<8>(&k)[ahead]) {
        UNROLL
        for (int h = 0; h < H; h++) {
            if (h >= own.heads) break;
            float product[ahead] = {};
            UNROLL
            for (int a = 0; a < ahead; a++)
                for (int j = 0; j < 8; j++) product[a] = fmaf(x[h][j], k[a][j], product[a]);
#pragma unroll 1
            for (int offset = own.at.lanes / 2; offset > 0; offset /= 2)
                for (int a = 0; a < ahead; a++) product[a] += __shfl_xor_sync(~0u, product[a], offset);
            UNROLL
            for (int a = 0; a < ahead; a++)
                if (const int i = i0 + a * own.step; own.lane == 0 && i < own.count)
                    score[h * decode_part + i] = product[a] * own.at.scale;
        }
    });
}

// A warp owns a head: its scores become weights.
template <int H>
__device__ void decode_weights(float* score, DecodeSum* found, const DecodeBlock<H>& own) {
    for (int h = own.warp; h < own.heads; h += decode_warps) {
        float *row = score + h * decode_part, max = -INFINITY, total = 0;
        for (int i = own.in_warp; i < own.count; i += warp_size) max = fmaxf(max, row[i]);
        max = warp_max(max);
        for (int i = own.in_warp; i < own.count; i += warp_size) total += row[i] = __expf(row[i] - max);
        total = warp_sum(total);
        if (own.in_warp == 0) found[own.part_of(h)] = {max, total};
    }
}

// of_warp (warps,H,HS): the weighted sums of the values, over a lane's keys, then over its warp's.
template <int W, int H, class T>
__device__ void decode_weighted_values(float* of_warp, const float* weights, const T* kept_values, const T* new_value,
                                       const DecodeBlock<H>& own) {
    constexpr int ahead = decode_ahead<W, H>;
    Vec<8> sum[H] = {};
    decode_rows<W>(kept_values, new_value, own, [&](int i0, const Vec<8>(&v)[ahead]) {
        UNROLL
        for (int h = 0; h < H; h++) {
            if (h >= own.heads) break;
            UNROLL
            for (int a = 0; a < ahead; a++) {
                const int i = i0 + a * own.step;
                const float weight = i < own.count ? weights[h * decode_part + i] : 0;
                for (int j = 0; j < 8; j++) sum[h][j] = fmaf(weight, v[a][j], sum[h][j]);
            }
        }
    });
    UNROLL
    for (int h = 0; h < H; h++) {
        if (h >= own.heads) break;
        for (int offset = own.at.lanes; offset < warp_size; offset *= 2)
            for (int i = 0; i < 8; i++) sum[h][i] += __shfl_xor_sync(~0u, sum[h][i], offset);
        if (own.in_warp < own.at.lanes)
            decode_store<W>(of_warp + (own.warp * H + h) * own.at.HS, sum[h], own.lane, own.at.HS);
    }
}

// The block's sums: its warps', added in order.
template <int H>
__device__ void decode_add_warps(float* sums, const float* of_warp, const DecodeBlock<H>& own) {
    const int HS = own.at.HS;
    for (int i = threadIdx.x; i < own.heads * HS; i += decode_threads) {
        const int h = i / HS, c = i % HS;
        float all = 0;
        for (int w = 0; w < decode_warps; w++) all += of_warp[(w * H + h) * HS + c];
        sums[own.part_of(h) * HS + c] = all;
    }
}

// sums (B,NH,parts,HS) of exp(score - max) times values, and what they are relative to; the new token's row is kept.
template <int W, int H, class T>
__global__ void __launch_bounds__(decode_threads, 1)
    attention_decode_kernel(float* sums, DecodeSum* found, T* keys, T* values, const T* qkv, const int* position,
                            DecodeShape at) {
    const DecodeBlock<H> own(position, at);
    if (own.count <= 0) return;
    const int HS = at.HS, b = own.b, kv = own.kv, p = own.p;
    float *score = dynamic_shared<float>(), *of_warp = score + H * decode_part;  // (H,128), (warps,H,HS)
    const T* token = qkv + size_t(b) * (at.NH + 2 * at.NKV) * HS;
    const T *new_key = token + size_t(at.NH + kv) * HS, *new_value = new_key + size_t(at.NKV) * HS;

    Vec<8> x[H];
    decode_queries<W>(x, token + size_t(own.first) * HS, own);
    decode_scores<W>(score, x, keys + at.kept(b, kv, own.begin), new_key, own);
    __syncthreads();
    decode_weights(score, found, own);
    __syncthreads();
    decode_weighted_values<W>(of_warp, score, values + at.kept(b, kv, own.begin), new_value, own);
    __syncthreads();
    decode_add_warps(sums, of_warp, own);

    // Nobody else writes the new token's row, and nobody reads it now.
    if (own.begin + own.count <= p || own.h0 > 0) return;
    for (int c = threadIdx.x; c < HS; c += decode_threads) {
        keys[at.kept(b, kv, p) + c] = new_key[c];
        values[at.kept(b, kv, p) + c] = new_value[c];
    }
}

// A block owns V channels of a head for every lane of a warp, a warp every 16th part;
// the warps' sums are added in order.
constexpr int combine_warps = 16, combine_threads = combine_warps * warp_size, combine_ahead = 8;
template <int V, class T>
__global__ void __launch_bounds__(combine_threads, 1)
    attention_decode_combine_kernel(T* out, const float* sums, const DecodeSum* found, const int* position,
                                    DecodeShape at) {
    __shared__ __align__(16) float sum_of[combine_warps][warp_size * V];
    __shared__ float total_of[combine_warps];
    const int h = blockIdx.x, b = blockIdx.y, p = position[b], HS = at.HS;
    const int first = at.first_key(p) / decode_part, parts = p / decode_part + 1 - first;
    const int warp = threadIdx.x / warp_size, lane = threadIdx.x % warp_size, c = (blockIdx.z * warp_size + lane) * V;
    const DecodeSum* of = found + at.part(b, h, first);
    const float* from = sums + at.part(b, h, first) * HS + (c < HS ? c : 0);
    float max = -INFINITY, total = 0;
    for (int i = threadIdx.x; i < parts; i += combine_threads) max = fmaxf(max, of[i].max);
    max = block_max(max);

    Vec<V> sum = {};
    for (int i0 = warp; i0 < parts; i0 += combine_ahead * combine_warps) {
        const auto part = [=](int a) { return i0 + a * combine_warps; };
        Raw<V, float> row[combine_ahead];
        // Beyond the last part it is loaded once more, for a weight of 0.
        UNROLL
        for (int a = 0; a < combine_ahead; a++) row[a] = load_raw<V>(from + size_t(std::min(part(a), parts - 1)) * HS);
        const DecodeSum own = of[std::min(part(lane), parts - 1)];
        const float weight = lane < combine_ahead && part(lane) < parts ? __expf(own.max - max) : 0;
        total = fmaf(weight, own.total, total);
        UNROLL
        for (int a = 0; a < combine_ahead; a++) {
            const float of_row = __shfl_sync(~0u, weight, a);
            const Vec<V> x = floats(row[a]);
            for (int k = 0; k < V; k++) sum[k] = fmaf(of_row, x[k], sum[k]);
        }
    }
    total = warp_sum(total);
    store<V>(&sum_of[warp][lane * V], sum);
    if (lane == 0) total_of[warp] = total;
    __syncthreads();
    if (warp > 0 || c >= HS) return;
    for (int w = 1; w < combine_warps; w++) {
        const Vec<V> more = load<V>(&sum_of[w][lane * V]);
        for (int k = 0; k < V; k++) sum[k] += more[k];
        total += total_of[w];
    }
    for (int k = 0; k < V; k++) out[(size_t(b) * at.NH + h) * HS + c + k] = T(sum[k] / total);
}

// blockIdx.y: keys or values. A thread owns a vector of a token's.
template <int W, class Real>
__global__ void attention_keep_kernel(Real* keys, Real* values, const Real* qkv, int T, int S, int NH, int NKV,
                                      int HS) {
    const size_t i = flat_index<W>(), width = size_t(NKV) * HS;
    if (i >= T * width) return;
    const int t = int(i / width), inside = int(i % width), kv = inside / HS, c = inside % HS;
    const Real* from = qkv + size_t(t) * (NH + 2 * NKV) * HS + size_t(NH + (blockIdx.y ? NKV : 0)) * HS + inside;
    store<W>((blockIdx.y ? values : keys) + (size_t(kv) * S + t) * HS + c, load<W>(from));
}

template <class Real>
void attention_keep(Real* keys, Real* values, const Real* qkv, int T, int S, int NH, int NKV, int HS, Gpu<Real> on) {
    by_width(HS, {keys, values, qkv}, [&](auto W) {
        dim3 grid = flat_grid<W>(size_t(T) * NKV * HS);
        grid.y = 2;
        launch(attention_keep_kernel<W, Real>, grid, flat_block, 0, on, keys, values, qkv, T, S, NH, NKV, HS);
    });
}

template <class T>
void attention_decode(T* out, T* keys, T* values, const T* qkv, const int* position, int S, const AttentionHead& heads,
                      Gpu<T> on) {
    const int B = heads.B, NH = heads.NH, NKV = heads.NKV, HS = heads.HS;
    check_limit("attention_decode", "HS", HS, 8 * warp_size);
    REQUIRE(NH % NKV == 0);
    by_width(on.trusts(Kernels::attention_decode) ? HS : 1, {keys, values, qkv}, [&](auto W) {
        const int lanes = W == 8 ? int(std::bit_ceil(unsigned(ceil_div(HS, 8)))) : warp_size;
        const DecodeShape at{S, NH, NKV, HS, heads.window, ceil_div(S, decode_part), lanes, heads.scale()};
        const size_t all = size_t(B) * NH * at.parts;
        float* sums = on.template scratch<float>(all * HS + 1 + 2 * all);
        DecodeSum* found = reinterpret_cast<DecodeSum*>(sums + round_up(all * HS, 2));
        const auto parts = [&](auto H) {
            const size_t bytes = sizeof(float) * H * (decode_part + decode_warps * HS);
            launch(attention_decode_kernel<W, H, T>, dim3(at.parts, NKV * ceil_div(NH / NKV, int{H}), B),
                   decode_threads, bytes, on, sums, found, keys, values, qkv, position, at);
        };
        if (NH / NKV <= 2) parts(std::integral_constant<int, 2>{});
        else parts(std::integral_constant<int, 8>{});
        constexpr int V = W == 8 ? 4 : 1;
        launch(attention_decode_combine_kernel<V, T>, dim3(NH, B, ceil_div(HS, V * warp_size)), combine_threads, 0, on,
               out, sums, found, position, at);
    });
}
