// Attention on tensor cores, forward, of bf16 and head sizes that are multiples of 8: the equations and shapes of
// attention.cuh.
//
// A block owns 128 queries of a head, a warp 32 of them and their sums; the block walks over the keys these may see.
// Scores and probabilities stay in registers: they leave one matmul in the layout of the next (Dao 2023). The next keys
// and values are copied meanwhile. first[t] must not decrease within a sequence; that of documents and windows does
// not.
#pragma once
#include "attention_dropout.cuh"
#include "kernels/tools/tensor.cuh"

constexpr float log2_of_e = 1.4426950408889634f;

// Which heads an instance of the kernels does: those of HS channels without dropout, or all of up to HS channels, with
// dropout or not.
enum class Heads { exact, any };

template <int HS>
struct AttentionTensor {
    using Tile = TensorTile<HS>;
    static_assert(Tile::conflict_free() && Tile::one_to_one());
    // Sums, scores and queries share 255 registers: the wider the heads, the less of the others. The widest have a warp
    // of 16 rows, and their queries stay in registers and their shared memory is reused for keys.
    static constexpr int warp_rows = HS <= 128 ? 32 : 16, I = warp_rows / 16, rows = 128;
    static constexpr int threads = rows / warp_rows * warp_size, blocks = HS <= 128 ? 2 : 1;
    static constexpr int keys = HS <= 96 ? 64 : HS <= 128 ? 48 : 16, pairs = 2 * 2 * keys;  // rows of keys and values
    static constexpr bool keeps_queries = HS <= 80 || HS > 128, queries_leave = HS > 128;
    static constexpr int first_pair = queries_leave ? 0 : rows;
    static constexpr size_t bytes = std::max(rows, first_pair + pairs) * HS * sizeof(bf16);
    static_assert(blocks_by_shared(80, bytes) >= blocks && blocks_by_shared(90, bytes) >= blocks && bytes <= 99 << 10);
};

// What a lane knows of the rows 16 i + 8 half + g of its warp: f(i, half).
template <int I, class F>
__device__ void of_rows(F f) {
    UNROLL
    for (int i = 0; i < I; i++) f(i, 0), f(i, 1);
}

// Keys below first_key(t) and above t become invisible. t0: the warp's first query; s0: the tile's first key.
template <int I, int J, class First>
__device__ void attention_mask(float (&score)[I][J][4], First first_key, int t0, int s0) {
    const int lane = threadIdx.x % warp_size, g = lane / 4, quad = lane % 4;
    of_rows<I>([&](int i, int half) {
        const int t = t0 + 16 * i + 8 * half + g, last = t - s0 - 2 * quad, from = first_key(t) - s0 - 2 * quad;
        UNROLL
        for (int j = 0; j < J; j++)
            for (int c = 0; c < 2; c++)
                if (8 * j + c > last || 8 * j + c < from) score[i][j][2 * half + c] = -INFINITY;
    });
}

// Scores become exp2(factor * (score - top)). Of each row, top is about the largest score so far, total the lane's
// share of the sum. When a row outgrows its top by 2^8, what was summed under the old one shrinks to the new one;
// before, nothing can overflow, and most steps are spared the multiplications.
template <int I, int J, int JO>
__device__ void attention_softmax(float (&score)[I][J][4], float (&sum)[I][JO][4], float (&top)[I][2],
                                  float (&total)[I][2], float factor) {
    constexpr float most = 8;
    float high[I][2];
    bool grows = false;
    of_rows<I>([&](int i, int half) {
        float& x = high[i][half] = -INFINITY;
        UNROLL
        for (int j = 0; j < J; j++) x = fmaxf(x, fmaxf(score[i][j][2 * half], score[i][j][2 * half + 1]));
        x = fmaxf(x, __shfl_xor_sync(~0u, x, 1));
        x = fmaxf(x, __shfl_xor_sync(~0u, x, 2));
        if ((x - top[i][half]) * factor > most) grows = true;
        else x = top[i][half];
    });
    if (__any_sync(~0u, grows))
        of_rows<I>([&](int i, int half) {
            const float growth = high[i][half] > top[i][half] ? (high[i][half] - top[i][half]) * factor : 0;
            const float shrink = exp2_approximate(-growth);
            top[i][half] = high[i][half];
            total[i][half] *= shrink;
            UNROLL
            for (int j = 0; j < JO; j++) sum[i][j][2 * half] *= shrink, sum[i][j][2 * half + 1] *= shrink;
        });
    of_rows<I>([&](int i, int half) {
        const float base = top[i][half] == -INFINITY ? 0 : top[i][half] * factor;  // nothing visible yet
        UNROLL
        for (int j = 0; j < J; j++)
            for (int c = 2 * half; c < 2 * half + 2; c++) {
                score[i][j][c] = exp2_approximate(score[i][j][c] * factor - base);
                total[i][half] += score[i][j][c];
            }
    });
}

// A block's queries of a head, and its walk over the keys that these see, tile by tile. The next keys and values are
// copied while these are worked on.
template <class Shape>
struct AttentionKeyWalk {
    using Tile = typename Shape::Tile;
    static constexpr int rows = Shape::rows, keys = Shape::keys, threads = Shape::threads;
    const bf16* qkv;
    const int* first;
    AttentionHead at;
    int columns;  // of a head
    bf16* pairs;  // keys, values; twice
    int b, h, kv;
    int t0, t_warp, t_end, latest;  // the block's first query, the warp's; latest: the first key of the warp's last one
    int s0, turn;                   // this tile

    __device__ AttentionKeyWalk(const bf16* qkv, const int* first, const AttentionHead& at, int columns, bf16* pairs,
                                int warp_row)
        : qkv(qkv), first(first), at(at), columns(columns), pairs(pairs) {
        h = blockIdx.y, b = blockIdx.z, kv = h * at.NKV / at.NH;
        t0 = (gridDim.x - 1 - blockIdx.x) * rows;  // longest rows first
        t_warp = t0 + warp_row, t_end = std::min(t0 + rows, at.T);
    }
    __device__ void copy_queries(bf16* q) const {
        tensor_copy<Tile, rows, threads>(q, qkv + at.query(b, t0, h), at.row(), at.T - t0, columns);
    }

    __device__ void begin() {
        const int s_begin = first_key(t0) / keys * keys;
        latest = first_key(t_warp + Shape::warp_rows - 1);
        s0 = s_begin, turn = 0;
    }
    __device__ void copy_first() const { copy(s0, turn); }
    __device__ bool more() const { return s0 < t_end; }
    __device__ void next() { s0 += keys, turn ^= 1; }
    // This tile is here, the next on its way.
    __device__ void arrive() {
        copy_async_wait<0>();
        __syncthreads();  // these keys are here; all are done with the last
        if (s0 + keys < t_end) copy(s0 + keys, turn ^ 1);
    }

    // Whether the warp's last query sees any of the tile's keys.
    __device__ bool seen() const { return s0 < t_warp + Shape::warp_rows; }
    __device__ const bf16* k() const { return pairs + turn * 2 * keys * Tile::columns; }
    __device__ const bf16* v() const { return k() + keys * Tile::columns; }
    template <int I, int J>
    __device__ void mask(float (&score)[I][J][4]) const {
        if (s0 + keys > t_warp + 1 || s0 < latest)
            attention_mask(
                score, [&](int t) { return first_key(t); }, t_warp, s0);
    }

private:
    __device__ int first_key(int t) const { return first ? first[at.token(b, std::min(t, at.T - 1))] : 0; }
    __device__ void copy(int s0, int turn) const {
        bf16* pair = pairs + turn * 2 * keys * Tile::columns;
        const bf16* key = qkv + at.key(b, kv) + size_t(s0) * at.row();
        tensor_copy<Tile, keys, threads>(pair, key, at.row(), at.T - s0, columns);
        tensor_copy<Tile, keys, threads>(pair + keys * Tile::columns, key + at.NKV * columns, at.row(), at.T - s0,
                                         columns);
        copy_async_commit();
    }
};

// total becomes whole: the lanes of a row add up their shares. lse from it and top.
template <int I>
__device__ void attention_tensor_lse(float* lse, float (&total)[I][2], const float (&top)[I][2], int t_warp, int T,
                                     float scale) {
    of_rows<I>([&](int i, int half) {
        float& all = total[i][half];
        all += __shfl_xor_sync(~0u, all, 1);
        all += __shfl_xor_sync(~0u, all, 2);
        const int t = t_warp + 16 * i + 8 * half + threadIdx.x % warp_size / 4;
        if (threadIdx.x % 4 == 0 && t < T) lse[t] = top[i][half] * scale + logf(all);
    });
}

template <int HS, Heads heads>
__global__ void __launch_bounds__(AttentionTensor<HS>::threads, AttentionTensor<HS>::blocks)
    attention_tensor_forward_kernel(bf16* out, float* lse, const bf16* qkv, const int* first, Dropout drop,
                                    AttentionHead at, float scale) {
    using Shape = AttentionTensor<HS>;
    using Tile = typename Shape::Tile;
    constexpr int I = Shape::I, J = Shape::keys / 8;
    bf16* q = dynamic_shared<bf16>();
    const int warp_row = threadIdx.x / warp_size * Shape::warp_rows;
    AttentionKeyWalk<Shape> walk(qkv, first, at, heads == Heads::exact ? HS : at.HS, q + Shape::first_pair * HS,
                                 warp_row);

    TensorRows<Tile, I, Shape::keeps_queries> query(q, warp_row);
    walk.begin();
    walk.copy_queries(q);
    copy_async_commit();
    if constexpr (!Shape::queries_leave) walk.copy_first();
    copy_async_wait<Shape::queries_leave ? 0 : 1>();
    __syncthreads();  // the queries are here
    query.load();
    if constexpr (Shape::queries_leave) {
        __syncthreads();  // their place is free
        walk.copy_first();
    }
    float top[I][2], total[I][2] = {}, sum[I][HS / 8][4] = {};
    of_rows<I>([&](int i, int half) { top[i][half] = -INFINITY; });
    for (; walk.more(); walk.next()) {
        walk.arrive();
        if (!walk.seen()) continue;
        [[maybe_unused]] AttentionKept<I> kept;
        if constexpr (heads == Heads::any)
            kept.template of_queries<J>(AttentionDropout(drop), at, walk.b, walk.h, walk.t_warp, walk.s0);
        float score[I][J][4];
        tensor_dots(score, query, walk.k());
        walk.mask(score);
        attention_softmax(score, sum, top, total, scale * log2_of_e);
        if constexpr (heads == Heads::any) tensor_weighted_rows<Tile>(sum, score, walk.v(), kept);
        else tensor_weighted_rows<Tile>(sum, score, walk.v());
    }
    if constexpr (Shape::queries_leave) __syncthreads();  // all are done with the last keys
    attention_tensor_lse(lse + at.lse(walk.b, walk.h, 0), total, top, walk.t_warp, at.T, scale);
    const float share = heads == Heads::exact ? 1 : 1 - drop.p;
    tensor_store<Tile>(
        out + at.out(walk.b, walk.t_warp, walk.h), at.out_row(), at.T - walk.t_warp, q + warp_row * HS, sum,
        [&](int i, int half) { return 1 / (total[i][half] * share); }, walk.columns);
}

// Calls `then` with the instance of the kernels that does these heads; says whether there is one.
template <class Then>
bool by_tensor_heads(int HS, const Dropout& drop, Then then) {
    const auto exact = [&](auto width) { return then(width, std::integral_constant<Heads, Heads::exact>{}), true; };
    const auto any = [&](auto width) { return then(width, std::integral_constant<Heads, Heads::any>{}), true; };
    if (HS % 8 || HS > 256) return false;  // rows are copied in 16-byte pieces
    if (drop.p == 0) switch (HS) {
            case 32: return exact(std::integral_constant<int, 32>{});
            case 48: return exact(std::integral_constant<int, 48>{});
            case 64: return exact(std::integral_constant<int, 64>{});
            case 80: return exact(std::integral_constant<int, 80>{});
            case 96: return exact(std::integral_constant<int, 96>{});
            case 128: return exact(std::integral_constant<int, 128>{});
            case 256: return exact(std::integral_constant<int, 256>{});
        }
    if (HS <= 32) return any(std::integral_constant<int, 32>{});
    if (HS <= 64) return any(std::integral_constant<int, 64>{});
    if (HS <= 128) return any(std::integral_constant<int, 128>{});
    return any(std::integral_constant<int, 256>{});
}

// False, and nothing is done, for head sizes that are no multiples of 8. T is bf16; a template, as all who include this
// would compile a function's kernels.
template <class T>
bool attention_tensor_forward(T* out, float* lse, const T* qkv, const int* first, const Dropout& drop,
                              const AttentionHead& at, const Gpu<T>& on) {
    return by_tensor_heads(at.HS, drop, [&](auto HS, auto heads) {
        using Shape = AttentionTensor<HS>;
        launch(attention_tensor_forward_kernel<HS, heads>, dim3(ceil_div(at.T, Shape::rows), at.NH, at.B),
               Shape::threads, Shape::bytes, on, out, lse, qkv, first, drop, at, at.scale());
    });
}
