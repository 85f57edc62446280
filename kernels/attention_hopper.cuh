// Attention on Hopper, forward, of bf16 heads of 64 and 128 channels without dropout: the equations and shapes of
// attention.cuh.
//
// A block walks over tiles of 64 queries per warpgroup. One thread of a warpgroup of its own copies queries, keys and
// values to shared memory, ahead of the others; these multiply scores into registers, make probabilities of them there,
// and multiply values. While a warpgroup's probabilities of one tile of keys are being made, its products for the last
// one run (Shah 2024).
//
// Softmax is the same whatever is subtracted from a row's scores, as long as nothing overflows. So a row's base is
// about the largest score of the first keys it sees, and stays. If then a sum becomes too large, all of the block's tiles
// are done again, with a base that follows the largest score.
#pragma once
#include "attention_tensor.cuh"
#include "kernels/tools/tensor_map.cuh"

constexpr int warpgroup = 128;  // threads

// groups: warpgroups that multiply, each with 64 queries. stages: tiles of keys or of values in shared memory.
// copiers: whether a warpgroup copies and blocks walk over tiles; without, the first thread copies and a block has one tile.
template <int HS_, int groups_, int keys_, int stages_, int blocks_ = 1>
struct AttentionHopper {
    static constexpr int HS = HS_, groups = groups_, keys = keys_, stages = stages_, blocks = blocks_;
    static constexpr bool copiers = blocks == 1;
    static constexpr int group_rows = 64, rows = groups * group_rows, threads = (groups + copiers) * warpgroup;
    static constexpr int panels = HS / 64, query_tiles = copiers ? 2 : 1, lag = 2;
    static constexpr int query = rows * HS, pair = keys * HS;  // elements
    static constexpr size_t barriers = 2 * (stages + query_tiles) * sizeof(AsyncBarrier) + threads * sizeof(int);
    static constexpr size_t bytes = (query_tiles * query + stages * pair) * sizeof(bf16) + barriers;
    // What the copying warps leave of the registers that the kernel is launched with.
    static constexpr int launched = 65536 / blocks / threads / 8 * 8, few = groups == 2 ? 40 : 32;
    static constexpr int many = std::min(240, (launched * (groups + 1) - few) / groups / 8 * 8);
    static_assert(blocks_by_shared(90, bytes) >= blocks && HS % 64 == 0);
};

// Which tile of queries comes when: those of a few heads, whose keys and values stay in the L2 cache together, longest
// first, then those of the next heads. A block takes one of every gridDim.x, the first and the last in turns.
struct AttentionTiles {
    int heads, at_once, tiles;  // B*NH; heads that run together; tiles of queries in a head
    __host__ __device__ int count() const { return heads * tiles; }
    __device__ int of_round(int round) const {
        return round * gridDim.x + (round % 2 ? gridDim.x - 1 - blockIdx.x : blockIdx.x);
    }
};

#if HOPPER
// A tile of queries and the keys that these see.
struct AttentionHopperTile {
    int b, h, kv, t0, s0, steps;  // the first query, the first key, tiles of keys

    template <class Shape>
    __device__ static AttentionHopperTile of(int i, const AttentionTiles& tiles, const AttentionHead& at,
                                             const int* first) {
        const int chunk = i / (tiles.at_once * tiles.tiles), head0 = chunk * tiles.at_once;
        const int heads = std::min(tiles.at_once, tiles.heads - head0);
        i -= head0 * tiles.tiles;
        const int head = head0 + i % heads;
        AttentionHopperTile tile;
        tile.b = head / at.NH, tile.h = head % at.NH, tile.kv = tile.h * at.NKV / at.NH;
        tile.t0 = (tiles.tiles - 1 - i / heads) * Shape::rows;
        tile.s0 = first ? first[at.token(tile.b, tile.t0)] / Shape::keys * Shape::keys : 0;
        tile.steps = ceil_div(std::min(tile.t0 + Shape::rows, at.T) - tile.s0, Shape::keys);
        return tile;
    }
};

// A place in a ring of n, and the parity of the turn.
template <int n>
struct RingPlace {
    int i = 0;
    unsigned turn = 0;
    __device__ void next() {
        if (++i == n) i = 0, turn ^= 1;
    }
};

// What a block has in shared memory.
template <class Shape>
struct AttentionHopperShared {
    bf16 *queries, *pairs;
    AsyncBarrier *full, *empty, *queries_full, *queries_empty;
    int* overflow;  // a thread's own
    __device__ AttentionHopperShared() {
        queries = dynamic_shared<bf16>();
        pairs = queries + Shape::query_tiles * Shape::query;
        full = reinterpret_cast<AsyncBarrier*>(pairs + Shape::stages * Shape::pair);
        empty = full + Shape::stages;
        queries_full = empty + Shape::stages;
        queries_empty = queries_full + Shape::query_tiles;
        overflow = reinterpret_cast<int*>(queries_empty + Shape::query_tiles);
    }
    __device__ void init() const {  // by one thread
        constexpr int warps = Shape::groups * 4;
        for (int i = 0; i < Shape::stages; i++) barrier_init(full + i, 1), barrier_init(empty + i, warps);
        for (int i = 0; i < Shape::query_tiles; i++)
            barrier_init(queries_full + i, 1), barrier_init(queries_empty + i, warps);
        barrier_init_fence();
    }
};

// What one thread copies.
template <class Shape>
struct AttentionHopperCopies {
    const AttentionHopperShared<Shape>& shared;
    const TensorMap &queries, &pairs;
    const AttentionHead& at;

    __device__ void copy_queries(const AttentionHopperTile& tile, RingPlace<Shape::query_tiles> to) const {
        barrier_wait(shared.queries_empty + to.i, to.turn ^ 1);
        AsyncBarrier* full = shared.queries_full + to.i;
        barrier_arrive_expect(full, Shape::query * sizeof(bf16));
        for (int panel = 0; panel < Shape::panels; panel++)
            tensor_load(shared.queries + to.i * Shape::query + panel * Shape::rows * 64, queries, full, panel * 64,
                        tile.h, tile.t0, tile.b);
    }
    // Keys and values in the order in which they are used: the next keys come before the last values.
    __device__ void copy(const AttentionHopperTile& tile, int item, RingPlace<Shape::stages> to) const {
        const bool last = item == 2 * tile.steps - 1;
        const bool value = Shape::overlap ? last || (item > 0 && item % 2 == 0) : item % 2;
        const int step = Shape::overlap ? (item + 1) / 2 - (value && !last) - last : item / 2;
        barrier_wait(shared.empty + to.i, to.turn ^ 1);
        AsyncBarrier* full = shared.full + to.i;
        barrier_arrive_expect(full, Shape::pair * sizeof(bf16));
        for (int panel = 0; panel < Shape::panels; panel++)
            tensor_load(shared.pairs + to.i * Shape::pair + panel * Shape::keys * 64, pairs, full, panel * 64,
                        at.NH + tile.kv + (value ? at.NKV : 0), tile.s0 + step * Shape::keys, tile.b);
    }
};

// f(register, row's half, column) of what a lane has of 64 x 2 n.
template <int n, class F>
__device__ void of_registers(F f) {
    UNROLL
    for (int i = 0; i < n; i++) f(i, i / 2 % 2, i / 4 * 8 + i % 2);
}

// 2^x for x from -126 on (below: 2^-126), relative error 3e-6, where the unit for it is busy with others.
__device__ inline float exp2_by_polynomial(float x) {
    constexpr float round = 12582912;  // 1.5 * 2^23: integers are in the lowest bits
    const float from = fmaxf(x, -126.0f), integer = from + round, f = from - (integer - round);
    const float power =
        0.99999926f + f * (0.69312181f + f * (0.24024745f + f * (0.05591786f + f * 0.0095701020f)));
    return __uint_as_float(__float_as_uint(power) + (__float_as_uint(integer) << 23));
}

// The first n elements.
template <int n, class T, int m>
__device__ T (&first_of(T (&all)[m]))[n] {
    static_assert(n <= m);
    return reinterpret_cast<T(&)[n]>(all);
}

// Softmax of a lane's two rows: exponents are score * factor - base, to the base 2.
struct HopperSoftmax {
    static constexpr float growth = 8, most = 1.2089258e24f;  // 2^80
    float factor, base[2] = {-INFINITY, -INFINITY}, total[2] = {};

    // The bases follow the largest scores, but for what cannot overflow.
    template <int n, int m>
    __device__ void follow(const float (&score)[n], float (&sum)[m]) {
        float high[2] = {-INFINITY, -INFINITY};
        of_registers<n>([&](int i, int half, int) { high[half] = fmaxf(high[half], score[i]); });
        for (int half = 0; half < 2; half++) {
            high[half] = fmaxf(high[half], __shfl_xor_sync(~0u, high[half], 1));
            high[half] = fmaxf(high[half], __shfl_xor_sync(~0u, high[half], 2)) * factor;
        }
        if (!__any_sync(~0u, high[0] > base[0] + growth || high[1] > base[1] + growth)) return;
        float shrink[2];
        for (int half = 0; half < 2; half++) {
            const float higher = fmaxf(base[half], high[half]);
            shrink[half] = higher == -INFINITY ? 1 : exp2_approximate(base[half] - higher);
            base[half] = higher, total[half] *= shrink[half];
        }
        of_registers<m>([&](int i, int half, int) { sum[i] *= shrink[half]; });
    }

    template <int soft, int n>
    __device__ void exponentials(float (&score)[n]) {
        float part[2][2] = {};
        float minus[2];
        for (int half = 0; half < 2; half++) minus[half] = base[half] == -INFINITY ? 0 : -base[half];  // sees nothing yet
        of_registers<n>([&](int i, int half, int) {
            const float x = score[i] * factor + minus[half];
            score[i] = soft && i / 4 % std::max(soft, 1) == 0 ? exp2_by_polynomial(x) : exp2_approximate(x);
            part[half][i % 2] += score[i];
        });
        for (int half = 0; half < 2; half++) total[half] += part[half][0] + part[half][1];
    }

    __device__ bool overflows() const { return !(total[0] <= most && total[1] <= most); }
    // Of the row, for all of its lanes.
    __device__ float whole(int half) const {
        const float x = total[half] + __shfl_xor_sync(~0u, total[half], 1);
        return x + __shfl_xor_sync(~0u, x, 2);
    }
};

// Of four lanes, each with a word of four vectors: each gets a vector.
__device__ inline void quad_transpose(uint32_t (&word)[4]) {
    UNROLL
    for (int step = 1; step <= 2; step *= 2) {
        const bool high = threadIdx.x & step;
        UNROLL
        for (int i = 0; i < 4; i++) {
            if (i & step) continue;
            const uint32_t got = __shfl_xor_sync(~0u, high ? word[i] : word[i + step], step);
            if (high) word[i] = got;
            else word[i + step] = got;
        }
    }
}

// A warpgroup that multiplies.
template <class Shape>
struct AttentionHopperGroup {
    static constexpr int HS = Shape::HS, keys = Shape::keys, group_rows = Shape::group_rows;
    const AttentionHopperShared<Shape>& shared;
    const AttentionHead& at;
    const int* first;
    int group;
    const AttentionHopperCopies<Shape>& copies;
    RingPlace<Shape::query_tiles> query;
    RingPlace<Shape::stages> place;

    // This warp is done with the item, which was here.
    __device__ void leave(const AttentionHopperTile& tile, int item, RingPlace<Shape::stages> here) const {
        if (threadIdx.x % warp_size == 0) barrier_arrive(shared.empty + here.i);
        if constexpr (!Shape::copiers) {
            constexpr int ahead = Shape::stages - Shape::lag;
            if (threadIdx.x == 0 && item + ahead < 2 * tile.steps) {
                const bool wraps = here.i >= Shape::lag;
                copies.copy(tile, item + ahead,
                            {wraps ? here.i - Shape::lag : here.i + ahead, wraps ? here.turn ^ 1 : here.turn});
            }
        }
    }
    __device__ void leave_queries() {
        if (threadIdx.x % warp_size == 0) barrier_arrive(shared.queries_empty + query.i);
        query.next();
    }
    __device__ void arrive() const { barrier_wait(shared.full + place.i, place.turn); }
    __device__ void skip(const AttentionHopperTile& tile, int item, int items) {
        for (; items > 0; items--) {
            arrive();
            leave(tile, item++, place);
            place.next();
        }
    }

    template <int n, int m>
    __device__ void multiply_scores(float (&score)[n], uint64_t q, const uint32_t (&kept)[m][4]) const {
        const uint64_t k = matrix_descriptor(shared.pairs + place.i * Shape::pair, 0, 1024);
        wgmma_fence();
        UNROLL
        for (int i = 0; i < HS / 16; i++) {
            const uint64_t b = descriptor_at(k, i / 4 * keys * 128 + i % 4 * 32);
            if constexpr (Shape::keeps_queries) wgmma(score, kept[i], b, i > 0);
            else wgmma(score, descriptor_at(q, i / 4 * Shape::rows * 128 + i % 4 * 32), b, i > 0);
        }
        wgmma_commit();
    }
    template <int n>
    __device__ void multiply_values(float (&sum)[HS / 2], const uint32_t (&prob)[n][4]) const {
        const uint64_t v = matrix_descriptor(shared.pairs + place.i * Shape::pair, keys * 128, 1024);
        wgmma_fence();
        UNROLL
        for (int i = 0; i < n; i++) wgmma<Major::across>(sum, prob[i], descriptor_at(v, i * 16 * 128), true);
        wgmma_commit();
    }
    template <int n, int m>
    __device__ static void round(uint32_t (&prob)[m][4], const float (&score)[n]) {
        UNROLL
        for (int i = 0; i < n / 2; i++) prob[i / 4][i % 4] = pack_bf16(score[2 * i], score[2 * i + 1]);
    }

    // part: which 64 of the tile's queries.
    __device__ void work(bf16* out, float* lse, const AttentionHopperTile& tile, int part, float factor, bool follow) {
        const int lane = threadIdx.x % warp_size, quad = lane % 4;
        const int t_group = tile.t0 + part * group_rows;
        const auto row = [&](int half) { return t_group + int(threadIdx.x) % warpgroup / warp_size * 16 + lane / 4 + 8 * half; };
        const auto first_key = [&](int t) { return first ? first[at.token(tile.b, std::min(t, at.T - 1))] : 0; };
        const int latest = first_key(t_group + group_rows - 1);
        // Tiles of keys that this group sees.
        const int seen = t_group + group_rows - tile.s0, steps = std::min(tile.steps, ceil_div(seen, keys));
        const bool half = Shape::halves && steps > 1 && seen - (steps - 1) * keys <= keys / 2;  // of the last one

        HopperSoftmax softmax{factor};
        float score[keys / 2], sum[HS / 2] = {};
        uint32_t prob[keys / 16][4];
        const auto probabilities = [&]<int n>(float (&score)[n], int step) {
            const int s0 = tile.s0 + step * keys;
            if (s0 + keys > t_group + 1 || s0 < latest) {
                const int column = s0 + 2 * quad, high[2] = {row(0) - column, row(1) - column},
                          low[2] = {first_key(row(0)) - column, first_key(row(1)) - column};
                of_registers<n>([&](int i, int half, int c) {
                    if (c > high[half] || c < low[half]) score[i] = -INFINITY;
                });
            }
            if (Shape::every || follow || s0 <= latest) {
                wgmma_wait<0>();
                wgmma_done(sum);
                softmax.follow(score, sum);
            }
            softmax.template exponentials<Shape::soft>(score);
            // Memory keeps the compiler from moving all of this behind the next wait, as nothing else needs it before.
            if (softmax.overflows()) shared.overflow[threadIdx.x] = 1;
        };

        const uint64_t q = matrix_descriptor(
            shared.queries + query.i * Shape::query + part * group_rows * 64, 0, 1024);
        barrier_wait(shared.queries_full + query.i, query.turn);
        uint32_t kept[Shape::keeps_queries ? HS / 16 : 1][4];
        if constexpr (Shape::keeps_queries) {
            const int r = part * group_rows + int(threadIdx.x) % warpgroup / warp_size * 16 + lane % 16;
            UNROLL
            for (int i = 0; i < HS / 16; i++)
                ldmatrix(kept[i], shared.queries + query.i * Shape::query + i / 4 * Shape::rows * 64 + r * 64 +
                                      ((i % 4 * 2 + lane / 16) ^ r % 8) * 8);
        }
        constexpr int some = Shape::halves ? keys / 4 : keys / 2;  // registers of half the scores
        if constexpr (Shape::overlap) {
            arrive();
            multiply_scores(score, q, kept);
            wgmma_wait<0>();
            wgmma_done(score);
            leave(tile, 0, place);
            place.next();
            probabilities(score, 0);
            round(prob, score);
            const auto next = [&]<int n>(float (&score)[n], uint32_t (&prob_of)[n / 8][4], int step) {
                arrive();
                if (Shape::ping_pong) named_barrier_sync(1 + group, 2 * warpgroup);
                multiply_scores(score, q, kept);
                const auto keys_here = place;
                place.next();
                arrive();
                multiply_values(sum, prob);
                if (Shape::ping_pong) named_barrier_arrive(1 + (group ^ 1), 2 * warpgroup);
                wgmma_wait<1>();
                wgmma_done(score);
                leave(tile, 2 * step - 1, keys_here);
                probabilities(score, step);
                wgmma_wait<0>();
                wgmma_done(sum);
                leave(tile, 2 * step, place);
                place.next();
                round(prob_of, score);
            };
            const auto last = [&]<int n>(const uint32_t (&prob)[n][4]) {
                leave_queries();
                if (steps < tile.steps) skip(tile, 2 * steps - 1, 1);
                arrive();
                multiply_values(sum, prob);
                wgmma_wait<0>();
                wgmma_done(sum);
                leave(tile, steps < tile.steps ? 2 * steps : 2 * steps - 1, place);
                place.next();
            };
            for (int step = 1; step < steps - half; step++) next(score, prob, step);
            if (Shape::halves && half) {
                float few[some];
                uint32_t few_prob[some / 8][4];
                next(few, few_prob, steps - 1);
                last(few_prob);
            } else {
                last(prob);
            }
            skip(tile, 2 * steps + 1, 2 * (tile.steps - steps) - 1);
        } else {
            const auto next = [&]<int n>(float (&score)[n], int step) {
                arrive();
                multiply_scores(score, q, kept);
                wgmma_wait<0>();
                wgmma_done(score);
                leave(tile, 2 * step, place);
                place.next();
                probabilities(score, step);
                uint32_t prob[n / 8][4];
                round(prob, score);
                arrive();
                multiply_values(sum, prob);
                wgmma_wait<0>();
                wgmma_done(sum);
                leave(tile, 2 * step + 1, place);
                place.next();
            };
            for (int step = 0; step < steps - half; step++) next(score, step);
            if (Shape::halves && half) {
                float few[some];
                next(few, steps - 1);
            }
            leave_queries();
            skip(tile, 2 * steps, 2 * (tile.steps - steps));
        }

        for (int half = 0; half < 2; half++) {
            const float total = softmax.whole(half), share = 1 / total;
            const int t = row(half);
            if (quad == 0 && t < at.T)
                lse[at.lse(tile.b, tile.h, t)] = softmax.base[half] * 0.6931471805599453f + logf(total);
            bf16* const to = out + at.out(tile.b, t, tile.h);
            UNROLL
            for (int j = 0; j < HS / 8; j += 4) {
                uint32_t word[4];
                UNROLL
                for (int i = 0; i < 4; i++) {
                    const int r = (j + i) * 4 + 2 * half;
                    word[i] = pack_bf16(sum[r] * share, sum[r + 1] * share);
                }
                quad_transpose(word);
                if (t < at.T)
                    *reinterpret_cast<uint4*>(to + (j + quad) * 8) = {word[0], word[1], word[2], word[3]};
            }
        }
    }
};

// Whether x is true in any thread of the block, whose warpgroups call this in different places.
__device__ inline bool any_of_block(int x) { return __syncthreads_or(x); }
#endif

template <class Shape>
__global__ void __launch_bounds__(Shape::threads, Shape::blocks)
    attention_hopper_forward_kernel(bf16* out, float* lse, const __grid_constant__ TensorMap queries,
                                    const __grid_constant__ TensorMap pairs, const int* first, AttentionHead at,
                                    AttentionTiles tiles, float factor) {
#if HOPPER
    const AttentionHopperShared<Shape> shared;
    if (threadIdx.x == 0) shared.init();
    __syncthreads();
    const int group = __shfl_sync(~0u, threadIdx.x / warpgroup, 0) - Shape::copiers;
    const AttentionHopperCopies<Shape> copies{shared, queries, pairs, at};
    bool again = false;  // with bases that follow
    if constexpr (!Shape::copiers) {
        AttentionHopperGroup<Shape> work{shared, at, first, group, copies, {}, {}};
        const auto tile = AttentionHopperTile::of<Shape>(blockIdx.x, tiles, at, first);
        do {
            if (threadIdx.x == 0) {
                copies.copy_queries(tile, work.query);
                auto to = work.place;
                for (int item = 0; item < std::min(Shape::stages - Shape::lag, 2 * tile.steps); item++, to.next())
                    copies.copy(tile, item, to);
            }
            shared.overflow[threadIdx.x] = 0;
            work.work(out, lse, tile, group, factor, again);
            again = any_of_block(shared.overflow[threadIdx.x]) && !again;
        } while (again);
    } else if (group < 0) {
        registers_shrink<Shape::few>();
        RingPlace<Shape::query_tiles> query;
        RingPlace<Shape::stages> place;
        do {
            if (threadIdx.x == 0)
                for (int round = 0, i; (i = tiles.of_round(round)) < tiles.count(); round++) {
                    const auto tile = AttentionHopperTile::of<Shape>(i, tiles, at, first);
                    copies.copy_queries(tile, query);
                    query.next();
#pragma unroll 1
                    for (int item = 0; item < 2 * tile.steps; item++, place.next()) copies.copy(tile, item, place);
                }
            again = any_of_block(false) && !again;
        } while (again);
    } else {
        registers_grow<Shape::many>();
        AttentionHopperGroup<Shape> work{shared, at, first, group, copies, {}, {}};
        if (Shape::ping_pong && group == 1) named_barrier_arrive(1, 2 * warpgroup);
        do {
            shared.overflow[threadIdx.x] = 0;
            for (int round = 0, i; (i = tiles.of_round(round)) < tiles.count(); round++)
                // Who does less in this tile does more in the next.
                work.work(out, lse, AttentionHopperTile::of<Shape>(i, tiles, at, first),
                          Shape::halves ? group ^ (round & 1) : group, factor, again);
            again = any_of_block(shared.overflow[threadIdx.x]) && !again;
        } while (again);
        if (Shape::ping_pong && group == 0) named_barrier_sync(1, 2 * warpgroup);
    }
#endif
}

template <class Shape>
void attention_hopper_launch(bf16* out, float* lse, const bf16* qkv, const int* first, const AttentionHead& at,
                             const Gpu<bf16>& on, bool walk = true) {
    const uint64_t HS = at.HS, heads = at.NH + 2 * at.NKV, row = at.row(), T = at.T, B = at.B;
    const auto map = [&](uint32_t rows) {
        return tensor_map(qkv, {HS, heads, T, B}, {HS, row, row * T}, {64, 1, rows, 1});
    };
    AttentionTiles tiles{at.B * at.NH, 1, ceil_div(at.T, Shape::rows)};
    const auto kernel = attention_hopper_forward_kernel<Shape>;
    int grid = tiles.count();
    if (Shape::copiers && walk) grid = std::min(grid, std::max(1, on.sm_count / 2));
    launch(kernel, grid, Shape::threads, Shape::bytes, on, out, lse, qkv ? map(Shape::rows) : TensorMap{}, map(Shape::keys), first, at, tiles,
           at.scale() * log2_of_e);
}
