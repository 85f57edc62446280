// Attention: every query averages the values of the keys it may see, weighted by softmax of the scaled dot products.
//
//   score[t,s] = q[t] . k[s] / sqrt(HS)  for first[t] <= s <= t      lse[t] = log sum_s exp(score[t,s])
//   prob[t,s]  = exp(score[t,s] - lse[t])                            out[t] = sum_s drop[t,s] prob[t,s] v[s]
//
//   d_v[s] = sum_t drop prob d_out[t]    d_prob = drop (d_out[t] . v[s])    delta[t] = d_out[t] . out[t]
//   d_score = prob (d_prob - delta) / sqrt(HS)     d_q[t] = sum_s d_score k[s]     d_k[s] = sum_t d_score q[t]
//
//   qkv (B,T,NH+2*NKV,HS)   out (B,T,NH,HS)   lse (B,NH,T)   first (B,T) or null (= 0: causal)   h reads head h*NKV/NH
//   Where AttentionHead has a divisor, it stands beside every sqrt(HS).
//
// Probabilities live in tiles of R x R, never in memory (Dao 2023). A block owns R queries of a head (or, for d_k and
// d_v, R keys of a key/value head and walks over its query heads); four neighbouring threads own a row, and split its
// columns. bf16 heads of most sizes go to the tensor cores instead (attention_tensor.cuh, attention_hopper.cuh).
#pragma once
#include "attention_hopper.cuh"
#include "attention_hopper_backward.cuh"
#include "attention_tensor_backward.cuh"
#include "host/reference/attention.h"

// M: the head size the registers are laid out for. Rows in a tile, and the distance of rows in shared memory, which
// spreads 8 neighbouring rows over all banks.
template <int M>
struct AttentionTile {
    static constexpr int R = M <= 128 ? 32 : 16, columns = R / 4, threads = 4 * R, pitch = M + 4, floats = R * pitch;
    static constexpr size_t bytes(int tiles, int scores) {
        return sizeof(float) * (tiles * floats + scores * R * (R + 1));
    }
};
constexpr int attention_quad = 4;  // threads that own a row

// Tile row r = tensor row r; rows from `rows` on, and the channels up to the next multiple of 4, are zeros.
template <int M, class T>
__device__ void attention_load(float* tile, const T* from, int stride, int rows, int HS) {
    using Tile = AttentionTile<M>;
    const auto copy = [&](auto W) {
        const int width = round_up(HS, 4) / W;
        for (int v = threadIdx.x; v < Tile::R * width; v += Tile::threads) {
            const int r = v / width, c = v % width * W;
            store<W>(tile + r * Tile::pitch + c,
                     r < rows && c < HS ? load<W>(from + size_t(r) * stride + c) : Vec<W>{});
        }
    };
    if (HS % 8 == 0) copy(std::integral_constant<int, 8>{});
    else copy(std::integral_constant<int, 1>{});
}
template <int M, class T>
__device__ void attention_store(T* to, const float* tile, int stride, int rows, int HS) {
    using Tile = AttentionTile<M>;
    const auto copy = [&](auto W) {
        const int width = HS / W;
        for (int v = threadIdx.x; v < rows * width; v += Tile::threads) {
            const int r = v / width, c = v % width * W;
            store<W>(to + size_t(r) * stride + c, load<W>(tile + r * Tile::pitch + c));
        }
    };
    if (HS % 8 == 0) copy(std::integral_constant<int, 8>{});
    else copy(std::integral_constant<int, 1>{});
}

// Dot products of one row with this thread's columns: rows quad, quad + 4, ... of the other tile.
template <int M>
__device__ Vec<AttentionTile<M>::columns> attention_dots(const float* row, const float* tile, int HS) {
    using Tile = AttentionTile<M>;
    const float* mine = tile + threadIdx.x % attention_quad * Tile::pitch;
    Vec<Tile::columns> sum = {};
    for (int c = 0; c < HS; c += 4) {
        const Vec<4> x = load<4>(row + c);
        for (int j = 0; j < Tile::columns; j++) {
            const Vec<4> y = load<4>(mine + j * attention_quad * Tile::pitch + c);
            for (int i = 0; i < 4; i++) sum[j] += x[i] * y[i];
        }
    }
    return sum;
}

// A row of channels in the registers of its four threads: vector j of thread `quad` is channels 16 j + 4 quad ...
template <int M>
struct AttentionRow {
    Vec<4> v[M / 16] = {};
    __device__ void add(const float* weight, const float* tile, int HS) {  // += sum over s of weight[s] * tile[s]
        using Tile = AttentionTile<M>;
        const int first = threadIdx.x % attention_quad * 4;
        for (int s = 0; s < Tile::R; s++) {
            const float* from = tile + s * Tile::pitch + first;
            const float w = weight[s];
            UNROLL
            for (int j = 0; j < M / 16; j++) {
                if (16 * j + first >= HS) break;
                const Vec<4> x = load<4>(from + 16 * j);
                for (int i = 0; i < 4; i++) v[j][i] += w * x[i];
            }
        }
    }
    __device__ void scale(float factor) {
        for (int j = 0; j < M / 16; j++)
            for (int i = 0; i < 4; i++) v[j][i] *= factor;
    }
    __device__ void put(float* row, int HS) const {
        const int first = threadIdx.x % attention_quad * 4;
        UNROLL
        for (int j = 0; j < M / 16; j++)
            if (16 * j + first < HS) store<4>(row + 16 * j + first, v[j]);
    }
};

__device__ inline float attention_quad_sum(float x) {
    x += __shfl_xor_sync(~0u, x, 1);
    return x + __shfl_xor_sync(~0u, x, 2);
}
__device__ inline float attention_quad_max(float x) {
    x = fmaxf(x, __shfl_xor_sync(~0u, x, 1));
    return fmaxf(x, __shfl_xor_sync(~0u, x, 2));
}

// The first key that any of `rows` queries from t on may see.
__device__ inline int attention_begin(const int* first, const AttentionHead& at, int b, int t, int rows) {
    if (!first) return 0;
    int begin = t;
    for (int i = 0; i < rows; i++) begin = std::min(begin, first[at.token(b, t + i)]);
    return begin;
}

// The dropout factor of probability (b,h,t,s): see attention_dropout in the reference.
__device__ inline float attention_factor(const Dropout& drop, const Noise& noise, const AttentionHead& at, int b, int h,
                                         int t, int s) {
    if (drop.p == 0) return 1;
    const uint64_t row = (noise.row + at.token(b, t)) * at.NH + h;
    return dropout_factors<1>(drop, noise, row * round_up(at.T, 4) + s)[0];
}

template <int M, class T>
__global__ void __launch_bounds__(AttentionTile<M>::threads, 1)
    attention_forward_kernel(T* out, float* lse, const T* qkv, const int* first, Dropout drop, AttentionHead at,
                             float scale) {
    using Tile = AttentionTile<M>;
    constexpr int R = Tile::R;
    float *q = dynamic_shared<float>(), *k = q + Tile::floats, *v = k + Tile::floats, *p = v + Tile::floats;
    const int r = threadIdx.x / attention_quad, quad = threadIdx.x % attention_quad;
    // Longest rows first.
    const int t0 = (gridDim.x - 1 - blockIdx.x) * R, h = blockIdx.y, b = blockIdx.z, kv = h * at.NKV / at.NH;
    const int rows = std::min(R, at.T - t0), t = t0 + r;
    const int from = r < rows && first ? first[at.token(b, t)] : 0;
    const Noise noise = drop.p > 0 ? *drop.noise : Noise{};

    attention_load<M>(q, qkv + at.query(b, t0, h), at.row(), rows, at.HS);
    AttentionRow<M> sum;
    float top = -INFINITY, total = 0;  // of the row's scores so far, and of exp(score - top)
    for (int s0 = attention_begin(first, at, b, t0, rows) / R * R; s0 < t0 + rows; s0 += R) {
        __syncthreads();  // the last step's readers are done
        attention_load<M>(k, qkv + at.key(b, kv) + size_t(s0) * at.row(), at.row(), std::min(R, at.T - s0), at.HS);
        attention_load<M>(v, qkv + at.value(b, kv) + size_t(s0) * at.row(), at.row(), std::min(R, at.T - s0), at.HS);
        __syncthreads();

        // Scores of this row, masked, and their maximum.
        Vec<Tile::columns> score = attention_dots<M>(q + r * Tile::pitch, k, at.HS);
        float high = top;
        for (int j = 0; j < Tile::columns; j++) {
            const int s = s0 + quad + attention_quad * j;
            score[j] = from <= s && s <= t ? score[j] * scale : -INFINITY;
            high = fmaxf(high, score[j]);
        }
        high = attention_quad_max(high);

        // What was summed under the old maximum shrinks to the new one.
        const float base = high == -INFINITY ? 0 : high, shrink = __expf(top - base);
        float part = 0;
        for (int j = 0; j < Tile::columns; j++) {
            const int s = s0 + quad + attention_quad * j;
            const float prob = __expf(score[j] - base);
            part += prob;
            p[r * (R + 1) + s - s0] = prob * attention_factor(drop, noise, at, b, h, t, s);
        }
        total = total * shrink + attention_quad_sum(part);
        top = high;
        sum.scale(shrink);
        __syncwarp();  // p's row is its four threads' own
        sum.add(p + r * (R + 1), v, at.HS);
    }

    // Rows leave through q's tile, as whole vectors: its row was read by the same four threads only.
    sum.scale(1 / total);
    sum.put(q + r * Tile::pitch, at.HS);
    if (quad == 0 && r < rows) lse[at.lse(b, h, t)] = top + logf(total);
    __syncthreads();
    attention_store<M>(out + at.out(b, t0, h), q, at.out_row(), rows, at.HS);
}

// d_q, and delta (B,NH,T) for the other kernel.
template <int M, class T>
__global__ void __launch_bounds__(AttentionTile<M>::threads, 1)
    attention_backward_query_kernel(T* d_qkv, float* delta, const T* d_out, const T* out, const float* lse,
                                    const T* qkv, const int* first, Dropout drop, AttentionHead at, float scale) {
    using Tile = AttentionTile<M>;
    constexpr int R = Tile::R;
    float *q = dynamic_shared<float>(), *d_o = q + Tile::floats, *k = d_o + Tile::floats, *v = k + Tile::floats,
          *d_score = v + Tile::floats;
    const int r = threadIdx.x / attention_quad, quad = threadIdx.x % attention_quad;
    const int t0 = (gridDim.x - 1 - blockIdx.x) * R, h = blockIdx.y, b = blockIdx.z, kv = h * at.NKV / at.NH;
    const int rows = std::min(R, at.T - t0), t = t0 + r;
    const int from = r < rows && first ? first[at.token(b, t)] : 0;
    const Noise noise = drop.p > 0 ? *drop.noise : Noise{};

    attention_load<M>(q, qkv + at.query(b, t0, h), at.row(), rows, at.HS);
    attention_load<M>(d_o, d_out + at.out(b, t0, h), at.out_row(), rows, at.HS);
    attention_load<M>(k, out + at.out(b, t0, h), at.out_row(), rows, at.HS);
    __syncthreads();
    float dot = 0;
    for (int c = quad; c < at.HS; c += attention_quad) dot += d_o[r * Tile::pitch + c] * k[r * Tile::pitch + c];
    dot = attention_quad_sum(dot);
    if (quad == 0 && r < rows) delta[at.lse(b, h, t)] = dot;
    const float log_sum = r < rows ? lse[at.lse(b, h, t)] : 0;

    AttentionRow<M> sum;
    for (int s0 = attention_begin(first, at, b, t0, rows) / R * R; s0 < t0 + rows; s0 += R) {
        __syncthreads();  // the last step's readers are done
        attention_load<M>(k, qkv + at.key(b, kv) + size_t(s0) * at.row(), at.row(), std::min(R, at.T - s0), at.HS);
        attention_load<M>(v, qkv + at.value(b, kv) + size_t(s0) * at.row(), at.row(), std::min(R, at.T - s0), at.HS);
        __syncthreads();
        const Vec<Tile::columns> score = attention_dots<M>(q + r * Tile::pitch, k, at.HS);
        const Vec<Tile::columns> d_prob = attention_dots<M>(d_o + r * Tile::pitch, v, at.HS);
        for (int j = 0; j < Tile::columns; j++) {
            const int s = s0 + quad + attention_quad * j;
            const float prob = from <= s && s <= t ? __expf(score[j] * scale - log_sum) : 0;
            const float factor = attention_factor(drop, noise, at, b, h, t, s);
            d_score[r * (R + 1) + s - s0] = prob * (d_prob[j] * factor - dot) * scale;
        }
        __syncwarp();  // d_score's row is its four threads' own
        sum.add(d_score + r * (R + 1), k, at.HS);
    }

    sum.put(q + r * Tile::pitch, at.HS);
    __syncthreads();
    attention_store<M>(d_qkv + at.query(b, t0, h), q, at.row(), rows, at.HS);
}

// d_k and d_v. A row is a key, a column a query.
template <int M, class T>
__global__ void __launch_bounds__(AttentionTile<M>::threads, 1)
    attention_backward_key_kernel(T* d_qkv, const float* delta, const T* d_out, const float* lse, const T* qkv,
                                  const int* first, Dropout drop, AttentionHead at, float scale) {
    using Tile = AttentionTile<M>;
    constexpr int R = Tile::R;
    float *q = dynamic_shared<float>(), *d_o = q + Tile::floats, *k = d_o + Tile::floats, *v = k + Tile::floats;
    float *p = v + Tile::floats, *d_score = p + R * (R + 1);
    const int r = threadIdx.x / attention_quad, quad = threadIdx.x % attention_quad;
    const int s0 = blockIdx.x * R, kv = blockIdx.y, b = blockIdx.z, group = at.NH / at.NKV;
    const int keys = std::min(R, at.T - s0), s = s0 + r;
    const Noise noise = drop.p > 0 ? *drop.noise : Noise{};

    attention_load<M>(k, qkv + at.key(b, kv) + size_t(s0) * at.row(), at.row(), keys, at.HS);
    attention_load<M>(v, qkv + at.value(b, kv) + size_t(s0) * at.row(), at.row(), keys, at.HS);
    AttentionRow<M> d_key, d_value;
    for (int h = kv * group; h < (kv + 1) * group; h++)
        for (int t0 = s0; t0 < at.T; t0 += R) {
            const int rows = std::min(R, at.T - t0);
            if (attention_begin(first, at, b, t0, rows) >= s0 + R) continue;  // none of these queries sees our keys
            __syncthreads();                                                  // the last step's readers are done
            attention_load<M>(q, qkv + at.query(b, t0, h), at.row(), rows, at.HS);
            attention_load<M>(d_o, d_out + at.out(b, t0, h), at.out_row(), rows, at.HS);
            __syncthreads();
            const Vec<Tile::columns> score = attention_dots<M>(k + r * Tile::pitch, q, at.HS);
            const Vec<Tile::columns> d_prob = attention_dots<M>(v + r * Tile::pitch, d_o, at.HS);
            for (int j = 0; j < Tile::columns; j++) {
                const int column = quad + attention_quad * j, t = t0 + column;
                float prob = 0, change = 0;
                if (s <= t && t < at.T && (!first || first[at.token(b, t)] <= s)) {
                    const float full = __expf(score[j] * scale - lse[at.lse(b, h, t)]);
                    const float factor = attention_factor(drop, noise, at, b, h, t, s);
                    prob = full * factor;
                    change = full * (d_prob[j] * factor - delta[at.lse(b, h, t)]) * scale;
                }
                p[r * (R + 1) + column] = prob;
                d_score[r * (R + 1) + column] = change;
            }
            __syncwarp();  // both rows are their four threads' own
            d_value.add(p + r * (R + 1), d_o, at.HS);
            d_key.add(d_score + r * (R + 1), q, at.HS);
        }

    __syncthreads();  // loads of k and v end, also where no query saw them
    d_key.put(k + r * Tile::pitch, at.HS);
    d_value.put(v + r * Tile::pitch, at.HS);
    __syncthreads();
    attention_store<M>(d_qkv + at.key(b, kv) + size_t(s0) * at.row(), k, at.row(), keys, at.HS);
    attention_store<M>(d_qkv + at.value(b, kv) + size_t(s0) * at.row(), v, at.row(), keys, at.HS);
}

// Calls `then` with the head size the registers are laid out for.
template <class Then>
void by_head_size(int HS, Then then) {
    check_limit("attention", "HS", HS, 256);
    if (HS <= 64) then(std::integral_constant<int, 64>{});
    else if (HS <= 128) then(std::integral_constant<int, 128>{});
    else then(std::integral_constant<int, 256>{});
}

template <class Real>
void attention_forward(Real* out, float* lse, const Real* qkv, const int* first, const Dropout& drop,
                       const AttentionHead& at, Gpu<Real> on) {
    REQUIRE(aligned(out) && aligned(qkv) && at.NH % at.NKV == 0);
    if constexpr (std::is_same_v<Real, bf16>) {
        if (attention_hopper_forward(out, lse, qkv, first, drop, at, on)) return;
        if (on.trusts(Kernels::attention_forward) && attention_tensor_forward(out, lse, qkv, first, drop, at, on))
            return;
    }
    by_head_size(at.HS, [&](auto M) {
        using Tile = AttentionTile<M>;
        launch(attention_forward_kernel<M, Real>, dim3(ceil_div(at.T, Tile::R), at.NH, at.B), Tile::threads,
               Tile::bytes(3, 1), on, out, lse, qkv, first, drop, at, at.scale());
    });
}

template <class Real>
void attention_backward(Real* d_qkv, const Real* d_out, const Real* out, const float* lse, const Real* qkv,
                        const int* first, const Dropout& drop, const AttentionHead& at, Gpu<Real> on) {
    REQUIRE(aligned(d_qkv) && aligned(d_out) && aligned(out) && aligned(qkv) && at.NH % at.NKV == 0);
    float* delta = on.template scratch<float>(size_t(at.B) * at.NH * at.T);
    if constexpr (std::is_same_v<Real, bf16>)
        if (attention_hopper_backward(d_qkv, delta, d_out, out, lse, qkv, first, drop, at, on) ||
            (on.trusts(Kernels::attention_backward) &&
             attention_tensor_backward(d_qkv, delta, d_out, out, lse, qkv, first, drop, at, on)))
            return;
    by_head_size(at.HS, [&](auto M) {
        using Tile = AttentionTile<M>;
        const unsigned tiles = ceil_div(at.T, Tile::R);
        launch(attention_backward_query_kernel<M, Real>, dim3(tiles, at.NH, at.B), Tile::threads, Tile::bytes(4, 1), on,
               d_qkv, delta, d_out, out, lse, qkv, first, drop, at, at.scale());
        launch(attention_backward_key_kernel<M, Real>, dim3(tiles, at.NKV, at.B), Tile::threads, Tile::bytes(4, 2), on,
               d_qkv, delta, d_out, lse, qkv, first, drop, at, at.scale());
    });
}
